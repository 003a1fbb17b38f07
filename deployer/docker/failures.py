"""Docker's and the registries' error texts as diagnostics, by the signatures next door."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from deployer.docker.signatures import CONTAINER, PULL, Signature
from deployer.errors import Diagnostic


def pull_failure(text: str, image: str, registry: str, secret: str | None) -> Diagnostic:
    """Why a pull failed. `text` is clean already; `secret` names the registry's password, when there was a login."""
    may_need_login = "may require" in text or (secret is None and "denied" in text)
    known = {
        "image": image,
        "registry": registry,
        "or_denied": ", or needs a login" if may_need_login else "",
        "or_login": f", or give `registries.{registry}` a login" if may_need_login else "",
        "login": f"the login (password: secret `{secret}`)" if secret else "a pull without a login",
        "login_hint": f"correct `registries.{registry}` or the secret `{secret}`"
        if secret
        else f"give `registries.{registry}` a username and a password",
    }
    fallback = Diagnostic("pull-failed", f"image `{image}` could not be pulled", hint="apply again")
    return _diagnostic(PULL, text, known, fallback)


def container_failure(text: str, verb: str, name: str, image: str) -> Diagnostic:
    """Why Docker did not `create`, `start`, ... a container."""
    known = {"name": name, "image": image, "command": ""}
    fallback = Diagnostic(
        "docker-refused", f"Docker refuses to {verb} container `{name}`", hint="correct the service's `container`"
    )
    return _diagnostic(CONTAINER, text, known, fallback)


def taken_port(diagnostic: Diagnostic) -> int | None:
    """The port that a `port-taken` diagnostic names."""
    found = re.match(r"port (\d+) of the host", diagnostic.message) if diagnostic.code == "port-taken" else None
    return int(found[1]) if found else None


def _diagnostic(signatures: Sequence[Signature], text: str, known: dict[str, str], fallback: Diagnostic) -> Diagnostic:
    for signature in signatures:
        found = signature.text.search(text)
        if found is not None:
            values = known | _groups(found)
            return Diagnostic(
                signature.code,
                signature.message.format_map(_Known(values)),
                evidence=(text,),
                hint=signature.hint.format_map(_Known(values)),
            )
    return Diagnostic(fallback.code, fallback.message, evidence=(text,) if text else (), hint=fallback.hint)


def _groups(found: re.Match[str]) -> dict[str, str]:
    """Named groups; `port2`, `port3` stand for `port` in another wording of it."""
    return {name.rstrip("23"): value for name, value in found.groupdict().items() if value}


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return f"({key} not said)"
