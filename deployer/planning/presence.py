"""Which hosts can be acted on, and what may live unseen on those that cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, Severity
from deployer.planning.applied import latest_record
from deployer.planning.hosts import HostIndex
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.facts import HostFacts, ObservedState, Unreachable
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Cause, Change, Reason

ACTED_ON = ("active", "drain")


def hosts_to_ask(spec: DeploySpec) -> tuple[str, ...]:
    """Hosts in maintenance are left alone and lost ones are gone: neither is connected to."""
    return tuple(name for name, host in sorted(spec.hosts.items()) if host.state in ACTED_ON)


@dataclass(frozen=True, slots=True)
class Presence:
    """`visible`: facts of the hosts that may be changed. `dark`: hosts on which replicas may run unseen, by name, and
    why."""

    visible: ObservedState
    dark: Mapping[str, str]
    problems: tuple[Diagnostic, ...]
    remembered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # host -> services, at the last apply

    def hiding_places(self, spec: DeploySpec, index: HostIndex) -> dict[str, str]:
        """By service, a host where a replica of it may be that nobody sees: where the spec would have it, or where it
        was when that host was last seen."""
        if not self.dark:
            return {}
        found: dict[str, str] = {}
        for name, service in spec.services.items():
            meant = index.members(service.placement.hosts)
            hidden = next((host for host in self.dark if host in meant), None)
            if hidden is not None:
                found[name] = hidden
        for host in self.dark:
            for name in self.remembered.get(host, ()):
                found[name] = min(host, found.get(name, host))
        return found


def presence(project: Project, observed: ObservedState) -> Presence:
    spec = project.spec
    visible: dict[str, HostFacts | Unreachable] = {}
    missing: list[Diagnostic] = []
    dark: dict[str, str] = {}
    for name, host in sorted(spec.hosts.items()):
        seen = observed.hosts.get(name)
        if host.state == "maintenance":
            dark[name] = "is in maintenance"
        elif host.state in ACTED_ON and isinstance(seen, HostFacts):
            visible[name] = seen
        elif host.state in ACTED_ON:
            dark[name] = "is unreachable" if seen is not None else "was not observed"
            missing.append(_missing(name, seen))
    allowed = len(missing) <= spec.policy.unreachable.max
    problems = tuple(replace(m, severity=Severity.WARNING) for m in missing) if allowed else tuple(missing)
    reachable = ObservedState(visible)
    latest = latest_record(spec, reachable.reachable) if dark else None
    return Presence(reachable, dark, problems, latest.services if latest is not None else {})


def _missing(name: str, seen: HostFacts | Unreachable | None) -> Diagnostic:
    if isinstance(seen, Unreachable):
        return replace(seen.reason, host=name)
    return Diagnostic("not-observed", f"there are no facts of host `{name}`", host=name, hint="record the facts again")


def left_alone(key: ReplicaKey, host: str, why: str) -> Change:
    """The entry of a replica that may run where nobody can look."""
    reason = Reason("unknown", f"may run on `{host}`, which {why}; left alone")
    return Change(key, host, Action.KEEP, Cause.NONE, (reason,))


def said_of_draining(change: Change, spec: DeploySpec) -> Change:
    """A replica that leaves a draining host does so because the inventory was edited."""
    host = spec.hosts.get(change.from_host or "")
    if change.action is not Action.MOVE or host is None or host.state != "drain":
        return change
    others = tuple(reason for reason in change.reasons if reason.code != "host-changed")
    drained = Reason("host-drained", f"moves from `{change.from_host}`, which is being drained, to `{change.host}`")
    return replace(change, cause=Cause.CHANGE, reasons=(drained, *others))
