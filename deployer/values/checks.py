"""What `doctor` says of hosts: one value a check, with the verdict and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic


class Verdict(StrEnum):
    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at on a host. `remedy`: what to do, where it did not pass."""

    name: str  # kebab-case, the same on all hosts
    verdict: Verdict
    message: str
    evidence: tuple[str, ...] = ()
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class GpuTrial:
    """What a container of `image` saw of the GPUs that it was given: their UUIDs, or what went wrong, a line each."""

    image: str
    seen: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectSeen:
    """A project of which containers are on a host, whoever owns it."""

    project: str
    id: str | None
    containers: int


@dataclass(frozen=True, slots=True)
class HostDiagnosis:
    checks: tuple[Check, ...]
    projects: tuple[ProjectSeen, ...] = ()

    def count(self, verdict: Verdict) -> int:
        return sum(check.verdict is verdict for check in self.checks)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Of all hosts of a spec. `problems` are about the project as a whole."""

    project: str
    id: str | None
    hosts: Mapping[str, HostDiagnosis]
    problems: tuple[Diagnostic, ...] = ()

    def count(self, verdict: Verdict) -> int:
        return sum(host.count(verdict) for host in self.hosts.values())


def passed(name: str, message: str, evidence: Iterable[str] = ()) -> Check:
    return Check(name, Verdict.PASS, message, tuple(evidence))


def warned(name: str, message: str, remedy: str, evidence: Iterable[str] = ()) -> Check:
    return Check(name, Verdict.WARN, message, tuple(evidence), remedy)


def failed(name: str, message: str, remedy: str, evidence: Iterable[str] = ()) -> Check:
    return Check(name, Verdict.FAIL, message, tuple(evidence), remedy)
