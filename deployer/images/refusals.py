"""What a registry refuses, or why it cannot be used, as diagnostics. Asks nothing."""

from __future__ import annotations

import re
from typing import Any

from deployer.errors import OperationError
from deployer.formats.text import one_line
from deployer.images.access import Access, failure

SYSTEM = re.compile(r"\[Errno -?\d+\] (.+)")


def refused(access: Access, status: int, path: str) -> OperationError:
    """By the status of an answer that is not the one hoped for."""
    registry = access.registry
    if status in (401, 403):
        return denied(access, status)
    if status == 404:
        named = path.removeprefix("/v2/")
        hint = f"correct the image's name and tag, or give `registries.{registry}` a login"
        return failure("image-not-found", f"registry `{registry}` has no `{one_line(named)}`", hint)
    if status == 429:
        hint = f"log in with `registries.{registry}`, or try again later"
        return failure("registry-busy", f"registry `{registry}` allows no more pulls for now", hint)
    return unusable(access, "registry-failed", f"it answers with status {status}")


def denied(access: Access, status: int) -> OperationError:
    login = f"the login (password: secret `{access.secret}`)" if access.secret else "a pull without a login"
    if access.secret is None and access.username is not None:
        login = "the login that `docker login` left here"
    hint = f"give `registries.{access.registry}` a username and a password that may read it"
    return failure("registry-denied", f"registry `{access.registry}` refuses {login} (status {status})", hint)


def unusable(access: Access, code: str, why: str, hint: str | None = None) -> OperationError:
    message = f"registry `{access.registry}` cannot be used from here"
    return failure(code, message, hint or f"check `curl -sS {access.endpoint}/v2/`", (why,))


def cause_of(error: BaseException) -> str:
    """The innermost cause: those of urllib3 are a nest of wrapped ones, some with addresses of objects."""
    inner: Any = error
    while True:
        found = getattr(inner, "reason", None) or next((a for a in inner.args if isinstance(a, BaseException)), None)
        if not isinstance(found, BaseException):
            break
        inner = found
    text = str(getattr(inner, "strerror", None) or inner)
    system = SYSTEM.search(text)
    return one_line(system[1] if system else text, 200) or type(inner).__name__
