"""What is given out on one host while replicas are being placed: who has which GPU, or how much of it, and port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from deployer.planning.claims import foreign_claims, port_claim
from deployer.planning.gpu_memory import usable_memory
from deployer.planning.handmade import HandMade
from deployer.planning.replicas import Found
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey

GIB = 1 << 30
Shares = Mapping[str, int]  # GPU UUID -> bytes of it that a replica takes at most


class Own:
    """What a replica may have on its host, whoever is seen on it: what its running container holds, and what the
    hand-made containers hold that it takes over from."""

    def __init__(self, found: Found | None = None, taken: Iterable[HandMade] = ()) -> None:
        theirs = frozenset().union(*(made.claims for made in taken))
        ours = found.held if found is not None else frozenset()
        self.gpus = frozenset(name for _, kind, name in ours | theirs if kind == "gpu")
        self.ports = frozenset(int(name) for _, kind, name in ours | theirs if kind == "port/tcp")


NOTHING = Own()


class Ledger:
    """`gpus` and `ports` were given to replicas, `shares` to those that share: GPU UUID -> who -> bytes. What others
    have is `foreign`, and `kept` bytes of each GPU are theirs. `free`: how many GPUs nobody has; `shareable`: how many
    nobody has alone."""

    def __init__(self, facts: HostFacts, allowed: range, kept: int = 0) -> None:
        self.facts, self.allowed, self._kept = facts, allowed, kept
        self.gpus: dict[str, ReplicaKey] = {}
        self.ports: dict[int, ReplicaKey] = {}
        self.foreign = foreign_claims(facts)
        self.shares = {uuid: dict(shares) for uuid, shares in self.foreign.shares.items()}
        self.replicas: Counter[str] = Counter()
        self.total = 0
        self._known = {gpu.uuid: gpu for gpu in facts.gpus}
        self._foreign_gpus = {name: who for (_, kind, name), who in self.foreign.holders.items() if kind == "gpu"}
        ended = (c.recorded for c in facts.containers if c.status == "exited" and c.recorded is not None)
        self._former = [(recorded.decisions.get("port"), recorded.key) for recorded in ended]
        open_to_all = [uuid for uuid in self._known if self._alone(uuid, NOTHING) is None]
        self.shareable = len(open_to_all)
        self.free = sum(uuid not in self.shares for uuid in open_to_all)

    @property
    def name(self) -> str:
        return self.facts.name

    def gpu_holder(self, uuid: str, own: Own = NOTHING, share: int | None = None) -> str | None:
        """Who is in the way of a replica that wants the GPU, or that `share` of it."""
        alone = self._alone(uuid, own)
        if alone is not None:
            return alone
        if share is None:
            return f"{_all_of(self.shares[uuid])}, which share it" if self.shares.get(uuid) else None
        left = self.left(uuid)
        if share <= left:
            return None
        who = _all_of(self.shares.get(uuid, {})) or "nobody"
        kept = f" beside {self._kept / GIB:.1f} GiB of `reserve.gpu_memory`" if self._kept else ""
        return f"{who}, and {left / GIB:.1f} GiB of it are left{kept} where {share / GIB:.1f} are needed"

    def is_alone(self, uuid: str) -> bool:
        """Somebody has it who shares it with nobody."""
        return self._alone(uuid, NOTHING) is not None

    def left(self, uuid: str) -> int:
        """Bytes of a GPU that can still be shared; 0 where its memory is not known."""
        gpu = self._known.get(uuid)
        whole = usable_memory(gpu) if gpu is not None else None
        given = sum(self.shares.get(uuid, {}).values())
        return max(0, (whole or 0) - self._kept - given - self.foreign.used.get(uuid, 0))

    def _alone(self, uuid: str, own: Own) -> str | None:
        """Who has the GPU for itself."""
        if uuid in self.gpus:
            return f"replica `{self.gpus[uuid]}`"
        return None if uuid in own.gpus else self._foreign_gpus.get(uuid)

    def port_holder(self, port: int, own: Own = NOTHING) -> str | None:
        if port in self.ports:
            return f"replica `{self.ports[port]}`"
        return None if port in own.ports else self.foreign.holder(port_claim(self.name, port))

    def busy(self, own: Own = NOTHING, shares: Shares | None = None) -> dict[str, str]:
        """GPU UUID -> who has it; with `shares`, of those where these are not left."""
        wanted = shares or {}
        met = self._foreign_gpus.keys() | self.gpus.keys() | self.shares.keys() | wanted.keys()
        holders = {uuid: self.gpu_holder(uuid, own, wanted.get(uuid)) for uuid in self._known if uuid in met}
        return {uuid: who for uuid, who in holders.items() if who is not None}

    def pickable_ports(self, key: ReplicaKey) -> Iterator[int]:
        """Ports that deployer may pick and that nobody has: outside the kernel's ephemeral ones. Those that a stopped
        container of another replica had come last, or that one could not go back to it."""
        first, last = self.facts.ephemeral_ports
        former = {port for port, owner in self._former if owner != key}
        for is_last in (False, True) if former else (False,):
            for port in self.allowed:
                if not first <= port <= last and (port in former) is is_last and self.port_holder(port) is None:
                    yield port

    def take(self, key: ReplicaKey, gpus: tuple[str, ...], port: int, share: int | None = None) -> None:
        for uuid in gpus:
            if uuid in self._known:
                self.free -= self.gpu_holder(uuid) is None
                self.shareable -= share is None and self._alone(uuid, NOTHING) is None
            if share is None:
                self.gpus[uuid] = key
            else:
                self.shares.setdefault(uuid, {})[f"replica `{key}`"] = share
        self.ports[port] = key
        self.replicas[key.service] += 1
        self.total += 1

    def give_back(self, key: ReplicaKey, gpus: tuple[str, ...], port: int, share: int | None = None) -> None:
        """As if it had never been taken."""
        for uuid in gpus:
            if share is None:
                del self.gpus[uuid]
            else:
                del self.shares[uuid][f"replica `{key}`"]
            if uuid in self._known:
                self.free += self.gpu_holder(uuid) is None
                self.shareable += share is None and self._alone(uuid, NOTHING) is None
        del self.ports[port]
        self.replicas[key.service] -= 1
        self.total -= 1

    def change_port(self, old: int, new: int) -> None:
        self.ports[new] = self.ports.pop(old)


def _all_of(shares: Mapping[str, int]) -> str:
    return ", ".join(sorted(shares))
