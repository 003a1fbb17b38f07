"""What a plan's decisions used of each host, so that a saved plan can tell whether the host moved since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.planning.claims import foreign_claims
from deployer.planning.desired import DesiredReplica
from deployer.values.canonical import digest
from deployer.values.facts import HostFacts, ObservedState, Unreachable
from deployer.values.names import ReplicaKey
from deployer.values.plan import HostUse


def host_use(observed: ObservedState, desired: Mapping[ReplicaKey, DesiredReplica]) -> dict[str, HostUse]:
    gpus: dict[str, set[str]] = {}
    ports: dict[str, dict[int, str]] = {}
    taken: dict[str, dict[str, str]] = {}
    for replica in desired.values():
        taken.setdefault(replica.host, {}).update({m.container.name: m.container.id for m in replica.placed.taken})
        gpus.setdefault(replica.host, set()).update(replica.placed.gpus)
        ports.setdefault(replica.host, {})[replica.placed.port] = str(replica.key)
    result: dict[str, HostUse] = {}
    for name, host in sorted(observed.hosts.items()):
        if isinstance(host, Unreachable):
            result[name] = HostUse(unreachable=host.reason.code)
            continue
        used = _used(host, gpus.get(name, set()), ports.get(name, {}))
        if taken.get(name):
            used["replaces"] = taken[name]
        result[name] = HostUse(used, digest(used))
    return result


def _used(facts: HostFacts, gpus: set[str], ports: Mapping[int, str]) -> dict[str, Any]:
    """Our containers as they are, the GPUs and ports given out here, and who else is on them."""
    others = foreign_claims(facts)
    holders = others.holders
    shared = {f"share of {uuid}": sum(others.shares[uuid].values()) for uuid in sorted(gpus) if uuid in others.shares}
    wanted = {("gpu", uuid) for uuid in gpus} | {("port/tcp", str(port)) for port in ports}
    return {
        "containers": {
            c.name: {"id": c.id, "status": c.status, "restart": c.restart_policy}
            for c in sorted(facts.containers, key=lambda c: c.name)
            if c.recorded is not None
        },
        "gpus": {gpu.uuid: gpu.index for gpu in facts.gpus if gpu.uuid in gpus},
        "ports": {str(port): replica for port, replica in sorted(ports.items())},
        "foreign": {f"{kind} {name}": who for (_, kind, name), who in sorted(holders.items()) if (kind, name) in wanted}
        | shared,
    }
