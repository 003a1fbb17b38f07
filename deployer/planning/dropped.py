"""Hosts that a project ran on and that its inventory no longer has, as the other hosts' records tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from deployer.dataclass import replace
from deployer.errors import Diagnostic, warning
from deployer.planning.applied import latest_record, proven_since
from deployer.planning.claims import is_holding
from deployer.spec.language import DeploySpec, Host
from deployer.spec.project import Project
from deployer.values.facts import HostFacts, ObservedState
from deployer.values.names import ReplicaKey
from deployer.values.records import Hold, ProjectRecord

MOST_NAMED = 20
MOST_GONE = 500


def dropped_hosts(project: Project, facts: Mapping[str, HostFacts]) -> tuple[Diagnostic, ...]:
    """A warning for each host of the latest record that the inventory does not name."""
    latest = latest_record(project.spec, facts)
    gone = sorted(_gone(project.spec, latest).items()) if latest is not None else []
    found = [_dropped(_named(name, address)) for name, address in gone[:MOST_NAMED]]
    if len(gone) > MOST_NAMED:
        found.append(_dropped(f"each of {len(gone) - MOST_NAMED} more hosts"))
    return tuple(found)


def _named(name: str, address: str) -> str:
    return f"host `{name}`" + (f" ({address})" if address not in ("", name) else "")


def _dropped(who: str) -> Diagnostic:
    return warning(
        "host-dropped",
        f"{who} served this project at the last apply and is no longer in the inventory; it may still serve",
        hint="add it back with `state: drain` and apply, or `deployer destroy` there; "
        "with `state: lost` if it is gone for good",
    )


def _gone(spec: DeploySpec, record: ProjectRecord) -> dict[str, str]:
    """Hosts of the record that go by no name and no address of the inventory."""
    known = {address_of(name, host) for name, host in spec.hosts.items()} - {""}
    return {n: address for n, address in record.hosts.items() if n not in spec.hosts and address not in known}


def address_of(name: str, host: Host) -> str:
    """Empty for this very machine: it has another name for everybody else."""
    return "" if host.connection == "local" else host.address or name


def records_to_write(
    project: Project,
    observed: ObservedState,
    apply: str,
    *,
    destroy: bool = False,
    completing: Set[tuple[str, str]] = frozenset(),
    holds: Iterable[Hold] = (),
    leaving: Iterable[ReplicaKey] = (),
) -> dict[str, ProjectRecord | None]:
    """By host, the record that it shall have after an apply (None: none), where it has another one now.

    `observed` is what was seen after it. Hosts that are out of sight stay in the record until they are seen without
    the project, or said to be lost. `completing`: (host, container) of models that were found to have no chat template.
    `holds`: all that are to stand. `leaving`: replicas that are taken away or stopped.
    """
    standing = tuple(sorted(holds, key=lambda hold: hold.service))
    spec, facts = project.spec, observed.reachable
    hosts = _serving(spec, facts) | _out_of_sight(spec, facts)
    services = _services(spec, facts, hosts)
    protected = () if destroy else _protected(spec, facts, services)
    gone = _gone_replicas(spec, facts, dict.fromkeys(map(str, leaving), apply))
    live = _live_inputs(facts.values())
    wanted: dict[str, ProjectRecord | None] = {}
    for name, host in facts.items():
        now = next((record for record in host.records if record.project == spec.project), None)
        left = any(container.recorded is not None for container in host.containers)
        if destroy and not left:
            wanted |= {name: None} if now is not None else {}
            continue
        there = {container.name for container in host.containers if container.recorded is not None}
        known = {*(now.completing if now is not None else ()), *(name_ for host_, name_ in completing if host_ == name)}
        completing_ = tuple(sorted(known & there))
        since = proven_since(spec, host, now)
        before = {**(now.inputs if now is not None else {}), **since}
        inputs = {key: of for key, of in before.items() if key not in live and key.rpartition("-")[0] in spec.services}
        new = ProjectRecord(
            spec.project, spec.id or "", apply, hosts, protected, completing_, services, standing, gone,
            inputs | _live_inputs([host]),
        )  # fmt: skip
        if now is None or replace(now, apply=apply) != new or not since.items() <= new.inputs.items():
            wanted[name] = new
    return wanted


def protected_services(spec: DeploySpec, facts: Mapping[str, HostFacts]) -> frozenset[str]:
    """Services that were protected at the last apply, also when the spec no longer has them."""
    latest = latest_record(spec, facts)
    return frozenset(latest.protected) if latest is not None else frozenset()


def _serving(spec: DeploySpec, facts: Mapping[str, HostFacts]) -> dict[str, str]:
    return {
        name: address_of(name, spec.hosts[name])
        for name, host in facts.items()
        if any(container.recorded is not None and is_holding(container) for container in host.containers)
    }


def _protected(
    spec: DeploySpec, facts: Mapping[str, HostFacts], services: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """What the spec protects, and what it did before it lost the service, while that is still somewhere."""
    there = {name for names in services.values() for name in names}
    there |= {c.recorded.key.service for host in facts.values() for c in host.containers if c.recorded is not None}
    before = protected_services(spec, facts) & there - set(spec.services)
    return tuple(sorted(before | {name for name, service in spec.services.items() if service.protect}))


def _services(spec: DeploySpec, facts: Mapping[str, HostFacts], hosts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Of each of these hosts what runs there, or what ran there when it was last seen."""
    latest = latest_record(spec, facts)
    before = latest.services if latest is not None else {}
    found = {name: _running(facts[name]) if name in facts else before.get(name, ()) for name in hosts}
    return {name: services for name, services in found.items() if services}


def _gone_replicas(spec: DeploySpec, facts: Mapping[str, HostFacts], leaving: Mapping[str, str]) -> dict[str, str]:
    """What was gone before and is not back, and what leaves now: at most as many as are read."""
    latest = latest_record(spec, facts)
    before = latest.gone if latest is not None else {}
    back = {str(c.recorded.key) for host in facts.values() for c in host.containers if c.recorded and is_holding(c)}
    gone = {key: apply for key, apply in before.items() if key not in back} | dict(leaving)
    return dict(sorted(gone.items(), key=lambda item: item[1])[-MOST_GONE:])


def _live_inputs(hosts: Iterable[HostFacts]) -> dict[str, str]:
    """Of the replicas that run there, or would."""
    ours = (c.recorded for host in hosts for c in host.containers if is_holding(c))
    return {str(r.key): str(r.decisions["inputs"]) for r in ours if r is not None and "inputs" in r.decisions}


def _running(host: HostFacts) -> tuple[str, ...]:
    ours = (c.recorded for c in host.containers if is_holding(c))
    return tuple(sorted({recorded.key.service for recorded in ours if recorded is not None}))


def _out_of_sight(spec: DeploySpec, facts: Mapping[str, HostFacts]) -> dict[str, str]:
    """Of the latest record: what the inventory dropped, and what cannot be looked at now."""
    latest = latest_record(spec, facts)
    if latest is None:
        return {}
    dark = {
        n: a for n, a in latest.hosts.items() if n in spec.hosts and n not in facts and spec.hosts[n].state != "lost"
    }
    return _gone(spec, latest) | dark
