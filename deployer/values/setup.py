"""What must be true inside a replica once its server answers, as data: how it is checked, and what makes it true."""

from __future__ import annotations

from typing import Any, Literal

from deployer.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A request to the replica's own server; `body` is sent as JSON. Done when the answer is 2xx and holds no `error`;
    an answer of many JSON lines is read to its end."""

    path: str
    method: str = "POST"
    body: Any = None
    kind: Literal["http"] = "http"


@dataclass(frozen=True, slots=True)
class ExecCall:
    """A program run in the container, by its arguments. Done when it exits with 0."""

    argv: tuple[str, ...]
    kind: Literal["exec"] = "exec"


Call = HttpCall | ExecCall


@dataclass(frozen=True, slots=True)
class SetupTask:
    """`check` is answered with 2xx and each of `expect`, a regular expression, is found in the answer; else `do` is
    done in order. `name` is for people, the subject of a sentence. `timeout`: seconds for each of `do`."""

    name: str
    check: HttpCall
    do: tuple[Call, ...]
    expect: tuple[str, ...] = ()
    timeout: float = 3600.0
