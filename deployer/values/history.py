"""What was applied to a project, as its hosts' journals tell."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """What one host noted. `time` is the host's own; `changes` as `replace chat-0`; `more`: of them, not written."""

    time: str
    result: str  # done, failed or interrupted
    changes: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """One apply. All texts are as hosts tell them."""

    apply: str
    verb: str
    who: str
    hosts: Mapping[str, Part]
    commit: str | None = None
    plan: str = ""
    summary: str = ""
    deployer: str = ""

    @property
    def time(self) -> str:
        """When the first host noted it."""
        return min((part.time for part in self.hosts.values()), default="")
