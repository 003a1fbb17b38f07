"""The memory of hosts themselves while replicas are placed: what is given out of it, and what the spec keeps free."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.dataclass import dataclass
from deployer.planning.replicas import Found
from deployer.spec.language import DeploySpec
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class MemoryClaim:
    """Bytes. `is_new`: nothing of it is in use yet."""

    size: int
    is_new: bool = True


class HostMemory:
    """Of one host, of whose memory `kept` bytes are to stay free. `running`: replicas that have some of it. Where
    others of ours are about to leave (`is_leaving`), what they free counts as free, and so does what strangers use."""

    def __init__(self, facts: HostFacts, kept: int, running: frozenset[ReplicaKey], *, is_leaving: bool) -> None:
        self._kept, self._running = kept, running
        self._total = facts.memory_total
        self._available = facts.memory_total if is_leaving else facts.memory_available
        self._claims: dict[ReplicaKey, MemoryClaim] = {}

    def claim(self, key: ReplicaKey, size: int) -> MemoryClaim:
        return MemoryClaim(size, is_new=key not in self._running)

    def take(self, key: ReplicaKey, claim: MemoryClaim) -> None:
        self._claims[key] = claim

    def give_back(self, key: ReplicaKey) -> None:
        self._claims.pop(key, None)

    def refusal(self, claim: MemoryClaim) -> str | None:
        """Why the host cannot take it."""
        left = self.left(claim.is_new)
        if claim.size <= left:
            return None
        needs = f"it needs {_gib(claim.size)} of the host's memory"
        return f"{needs}, and {_gib(left)} are left beside {_gib(self._kept)} of `reserve.memory`"

    def left(self, is_new: bool = True) -> int:
        """For a replica, that has some of it already or has none yet."""
        given = self._total - self._kept - sum(one.size for one in self._claims.values())
        coming = sum(one.size for one in self._claims.values() if one.is_new)
        unused = self._available - self._kept - coming if is_new else given
        return max(0, min(given, unused))


def memory_of_hosts(
    spec: DeploySpec, facts: Mapping[str, HostFacts], found: Mapping[ReplicaKey, tuple[Found, ...]]
) -> dict[str, HostMemory]:
    """Of the hosts that keep some, and say how much they have."""
    kept = {name: spec.hosts[name].kept_memory for name in facts}
    live: dict[str, set[ReplicaKey]] = {name: set() for name, size in kept.items() if size}
    for key, items in found.items() if live else ():
        for item in items:
            if item.is_live and item.host in live:
                live[item.host].add(key)
    return {
        name: HostMemory(facts[name], kept[name], frozenset(keys), is_leaving=not all(_stays(spec, k) for k in keys))
        for name, keys in live.items()
        if facts[name].memory_total > 0
    }


def _stays(spec: DeploySpec, key: ReplicaKey) -> bool:
    service = spec.services.get(key.service)
    return service is not None and key.index < service.replicas and service.state == "running"


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
