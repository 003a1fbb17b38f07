"""Who holds which GPU and port. A claim is exclusive, but for a GPU of which each says how much it takes at most; a
stopped or merely created container holds nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.values.container import ContainerSpec
from deployer.values.facts import HostFacts, Listener, ObservedContainer

Claim = tuple[str, str, str]  # (host, `gpu` or `port/tcp` or `port/udp`, UUID or number)
WILDCARDS = ("0.0.0.0", "::")
HOLDING = ("running", "restarting", "paused", "unresponsive")
FOREIGN_GPU_MEMORY = 1 << 30  # a process that uses less than this does not make a GPU busy (X servers, monitors)


def is_holding(container: ObservedContainer) -> bool:
    return container.status in HOLDING


def port_claim(host: str, port: int, protocol: str = "tcp") -> Claim:
    """Addresses are left out: two listeners of one port on different addresses are rare, a collision is costly."""
    return (host, f"port/{protocol}", str(port))


def claims_of(host: str, spec: ContainerSpec) -> frozenset[Claim]:
    gpus = {(host, "gpu", uuid) for uuid in spec.gpus}
    return frozenset(gpus | {port_claim(host, p.host, p.protocol) for p in spec.ports})


def claims_held(facts: HostFacts, container: ObservedContainer) -> frozenset[Claim]:
    """What a container of ours holds on its host now."""
    if not is_holding(container):
        return frozenset()
    gpus = {(facts.name, "gpu", uuid) for uuid in gpu_uuids(facts, container.gpus)}
    ports = {port_claim(facts.name, port, protocol) for _, port, protocol in container.ports}
    decided = container.recorded.decisions.get("port") if container.recorded is not None else None
    if isinstance(decided, int):  # on the host's network nothing is published
        ports.add(port_claim(facts.name, decided))
    return frozenset(gpus | ports)


def claims_of_stranger(facts: HostFacts, container: ObservedContainer) -> frozenset[Claim]:
    """What a container that isn't ours holds: also GPUs that its processes use, and ports on the host's network."""
    if not is_holding(container):
        return frozenset()
    gpus = gpu_uuids(facts, container.gpus) | {p.gpu for p in facts.gpu.processes if p.container == container.id}
    ports = {(port, protocol) for _, port, protocol in container.ports}
    ports |= {(x.port, x.protocol) for x in facts.listeners if x.owner == f"container {container.name}"}
    return frozenset(
        {(facts.name, "gpu", uuid) for uuid in gpus} | {port_claim(facts.name, port, kind) for port, kind in ports}
    )


def strangers_on(facts: HostFacts, gpus: Iterable[str]) -> tuple[ObservedContainer, ...]:
    """Running containers of others that hold one of these GPUs."""
    wanted = {(facts.name, "gpu", uuid) for uuid in gpus}
    others = (c for c in facts.containers if c.recorded is None)
    return tuple(c for c in others if claims_of_stranger(facts, c) & wanted)


def gpu_uuids(facts: HostFacts, wanted: Iterable[str]) -> set[str]:
    """UUIDs of GPUs named by UUID, index or `all`; what is not known stands for itself. Who has a GPU that is cut into
    slices has them all."""
    found = set(wanted)
    if not found:
        return found
    known = {gpu.uuid for gpu in facts.gpus}
    if "all" in found or any(name.startswith("count:") for name in found):
        return known
    if not found <= known:
        by_label = {gpu.label: gpu.uuid for gpu in facts.gpus}
        found = {by_label.get(name, name) for name in found}
    return found | {gpu.uuid for gpu in facts.gpus if gpu.parent in found}


def _who(listener: Listener) -> str:
    """With its address where it is not all of the host's: that is in the way of the port all the same."""
    owner = listener.owner or "a process that is not visible to this user"
    is_container = owner.startswith("container ")
    return owner if is_container or listener.address in WILDCARDS else f"{owner}, on {listener.address} only"


@dataclass(frozen=True, slots=True)
class ForeignClaims:
    """What others hold on one host: claim -> who, for people. `shares`: GPU UUID -> who -> bytes, of those that share
    it. `used`: GPU UUID -> bytes that processes take which are too small to hold it."""

    holders: Mapping[Claim, str] = field(default_factory=dict)
    shares: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    used: Mapping[str, int] = field(default_factory=dict)

    def holder(self, claim: Claim) -> str | None:
        return self.holders.get(claim)


def foreign_claims(facts: HostFacts) -> ForeignClaims:
    """Claims of all that isn't ours: listeners, other containers, processes on GPUs."""
    ours = frozenset().union(*(claims_held(facts, c) for c in facts.containers if c.recorded is not None))
    counted = {c.id for c in facts.containers if c.recorded is not None or c.gpu_share is not None}
    holders: dict[Claim, str] = {}
    used: dict[str, int] = {}
    for listener in facts.listeners:
        claim = port_claim(facts.name, listener.port, listener.protocol)
        if claim not in ours:
            holders.setdefault(claim, _who(listener))
    for process in facts.gpu.processes:
        unknown = process.container is None and (facts.name, "gpu", process.gpu) in ours  # most likely ours
        if process.container in counted or unknown:
            continue
        if (process.memory_used or 0) >= FOREIGN_GPU_MEMORY:
            holders.setdefault((facts.name, "gpu", process.gpu), f"process {process.name} (pid {process.pid})")
        else:
            used[process.gpu] = used.get(process.gpu, 0) + (process.memory_used or 0)
    shares: dict[str, dict[str, int]] = {}
    for container in facts.containers:
        if container.recorded is not None or not is_holding(container):
            continue
        for claim in claims_of_stranger(facts, container):
            if claim[1] == "gpu" and container.gpu_share is not None:
                shares.setdefault(claim[2], {})[f"container {container.name}"] = container.gpu_share
            else:
                holders[claim] = f"container {container.name}"
    return ForeignClaims(holders, shares, used)
