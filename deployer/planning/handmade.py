"""Hand-made containers that services take over from (`replaces`): which there are, what they hold, whose turn it is.

The one stated exception to "never touched": only what the spec names, on that host, by the id seen at plan time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, Severity
from deployer.planning.claims import Claim, claims_of_stranger, is_holding
from deployer.spec.project import Project
from deployer.values.facts import HostFacts, ObservedContainer


@dataclass(frozen=True, slots=True)
class HandMade:
    """A container that is not ours. `restart`: the policy it has, or had before it was taken over; `runs` likewise."""

    facts: HostFacts
    container: ObservedContainer
    restart: str
    runs: bool
    retries: int = 0  # of the policy `on-failure`; 0: without end

    @property
    def host(self) -> str:
        return self.facts.name

    @property
    def claims(self) -> frozenset[Claim]:
        return claims_of_stranger(self.facts, self.container)

    @property
    def policy(self) -> str:
        """As `docker run --restart` writes it."""
        return f"{self.restart}:{self.retries}" if self.retries else self.restart

    def as_it_was(self, policy: str) -> HandMade:
        """Before it was taken over: it ran, with this restart policy."""
        restart, _, retries = policy.partition(":")
        return replace(self, restart=restart, runs=True, retries=int(retries or 0))

    @property
    def may_come_back(self) -> bool:
        """It runs, or the daemon may start it."""
        return self.runs or self.restart != "no"


class Takeovers:
    """What `replaces` names and what of it was found, by service and host."""

    def __init__(self, project: Project, facts: Mapping[str, HostFacts]) -> None:
        self._named: dict[tuple[str, str], tuple[HandMade, ...]] = {}
        self.problems: list[Diagnostic] = []
        self._project, self._facts = project, facts
        for name, service in project.spec.services.items():
            for index, entry in enumerate(service.replaces):
                self._add(name, index, entry)

    def _add(self, service: str, index: int, entry: str) -> None:
        host, _, name = entry.partition(":")
        facts = self._facts.get(host)
        found = next((c for c in facts.containers if c.name == name), None) if facts is not None else None
        if facts is None or found is None:
            return  # gone, or its host is dark: nothing to take over now
        if found.recorded is not None or found.labelled_project is not None:
            where = self._project.where("services", service, "replaces", index)
            what = f"container `{name}` on `{host}` is not hand-made: project `{found.labelled_project}` owns it"
            self.problems.append(Diagnostic("not-hand-made", what, where, hint="remove it with that project's spec"))
            return
        made = HandMade(facts, found, found.restart_policy, is_holding(found), found.restart_retries)
        if made.runs and found.auto_remove:
            where = self._project.where("services", service, "replaces", index)
            what = f"container `{name}` on `{host}` cannot be kept: it was started with `--rm`"
            hint = "start it without `--rm`, or stop it yourself and leave out `replaces`"
            self.problems.append(Diagnostic("cannot-be-kept", what, where, hint=hint))
            return
        self._named[service, host] = (*self._named.get((service, host), ()), made)

    def named(self, service: str, host: str) -> tuple[HandMade, ...]:
        """All that are still there, also those that were taken over."""
        return self._named.get((service, host), ())

    def on(self, service: str, host: str) -> tuple[HandMade, ...]:
        """Those that a replica of the service on this host takes over from."""
        return tuple(made for made in self.named(service, host) if made.may_come_back)

    def hosts(self, service: str) -> tuple[str, ...]:
        """Where there is something to take over, in the order of the spec."""
        entries = (entry.partition(":")[0] for entry in self._project.spec.services[service].replaces)
        return tuple(dict.fromkeys(host for host in entries if self.on(service, host)))


def left_running(project: Project, takeovers: Takeovers, taken: Iterable[HandMade]) -> list[Diagnostic]:
    """Hand-made containers that stay, since no replica came to their host."""
    known = {(made.host, made.container.id) for made in taken}
    return [
        Diagnostic(
            "not-taken-over",
            f"container `{made.container.name}` on `{made.host}` stays: no replica of `{service}` is placed there",
            project.where("services", service, "replaces"),
            hint="raise `replicas`, or correct `placement.hosts`",
            severity=Severity.WARNING,
        )
        for service, spec in project.spec.services.items()
        if spec.replaces and spec.state == "running"
        for host in takeovers.hosts(service)
        for made in takeovers.on(service, host)
        if (made.host, made.container.id) not in known
    ]
