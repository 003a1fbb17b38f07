"""The signatures of failures in the logs of backends, as `failures.toml` has them. Reads no log itself."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from deployer.dataclass import dataclass

FILE = "failures.toml"
Kind = Literal["root", "generic", "wrapper", "info"]


@dataclass(frozen=True, slots=True)
class Signature:
    """`text` None: it is told by how the container ended, out of memory, and not by its log.

    `change` is what to do in the service's spec, `remedy` what to do elsewhere; one of them, and neither of those that
    are no cause. `gpu`: it is about the memory or the kind of the GPUs. `request`: a client can bring it about.
    """

    id: str
    scope: str
    kind: Kind
    text: re.Pattern[str] | None
    cause: str
    change: str | None = None
    remedy: str | None = None
    gpu: bool = False
    request: bool = False

    @property
    def rank(self) -> int | None:
        """The order in which they are looked for; None: it is no cause."""
        if self.kind in ("wrapper", "info"):
            return None
        return 3 if self.request else 1 if self.kind == "root" else 2


@cache
def signatures() -> tuple[Signature, ...]:
    return tuple(_parse(entry) for entry in _file()["signature"])


@cache
def signatures_of(backend: str) -> tuple[Signature, ...]:
    """Those to look for in the log of a backend, its own first; all of them where the backend is not known."""
    scopes: list[str] | None = _file()["scopes"].get(backend)
    if scopes is None:
        return signatures()
    return tuple(one for scope in scopes for one in signatures() if one.scope == scope)


@cache
def _file() -> Mapping[str, Any]:
    import tomllib

    return tomllib.loads((pkgutil.get_data(__name__, FILE) or b"").decode("utf-8"))


def _parse(entry: Mapping[str, Any]) -> Signature:
    pattern = entry["matches"] if "matches" in entry else re.escape(entry.get("says", ""))
    return Signature(
        id=entry["id"],
        scope=entry["scope"],
        kind=entry["kind"],
        text=re.compile(pattern) if pattern else None,
        cause=entry["cause"],
        change=entry.get("set"),
        remedy=entry.get("do"),
        gpu=entry.get("gpu", False),
        request=entry.get("request", False),
    )
