"""What is given out on one host while replicas are being placed: who has which GPU and port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from deployer.planning.claims import claims_held, foreign_claims, port_claim
from deployer.planning.handmade import HandMade
from deployer.planning.replicas import Found
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey


class Own:
    """What a replica may have on its host, whoever is seen on it: what its running container holds, and what the
    hand-made containers hold that it takes over from."""

    def __init__(self, found: Found | None = None, taken: Iterable[HandMade] = ()) -> None:
        theirs = frozenset().union(*(made.claims for made in taken))
        ours = claims_held(found.facts, found.container) if found is not None else frozenset()
        self.gpus = frozenset(name for _, kind, name in ours | theirs if kind == "gpu")
        self.ports = frozenset(int(name) for _, kind, name in ours | theirs if kind == "port/tcp")


NOTHING = Own()


class Ledger:
    """`gpus` and `ports` were given to replicas; what others have is `foreign`. `free`: how many GPUs nobody has."""

    def __init__(self, facts: HostFacts, allowed: range) -> None:
        self.facts, self.allowed = facts, allowed
        self.gpus: dict[str, ReplicaKey] = {}
        self.ports: dict[int, ReplicaKey] = {}
        self.foreign = foreign_claims(facts)
        self.replicas: Counter[str] = Counter()
        self.total = 0
        self.free = sum(self.gpu_holder(gpu.uuid) is None for gpu in facts.gpus)

    @property
    def name(self) -> str:
        return self.facts.name

    def gpu_holder(self, uuid: str, own: Own = NOTHING) -> str | None:
        if uuid in self.gpus:
            return f"replica `{self.gpus[uuid]}`"
        return None if uuid in own.gpus else self.foreign.holder((self.name, "gpu", uuid))

    def port_holder(self, port: int, own: Own = NOTHING) -> str | None:
        if port in self.ports:
            return f"replica `{self.ports[port]}`"
        return None if port in own.ports else self.foreign.holder(port_claim(self.name, port))

    def busy(self, own: Own = NOTHING) -> dict[str, str]:
        """GPU UUID -> who has it."""
        holders = ((gpu.uuid, self.gpu_holder(gpu.uuid, own)) for gpu in self.facts.gpus)
        return {uuid: who for uuid, who in holders if who is not None}

    def pickable_ports(self) -> Iterator[int]:
        """Ports that deployer may pick and that nobody has: outside the kernel's ephemeral ones."""
        first, last = self.facts.ephemeral_ports
        return (p for p in self.allowed if not first <= p <= last and self.port_holder(p) is None)

    def take(self, key: ReplicaKey, gpus: tuple[str, ...], port: int) -> None:
        known = {gpu.uuid for gpu in self.facts.gpus}
        for uuid in gpus:
            self.free -= uuid in known and self.gpu_holder(uuid) is None
            self.gpus[uuid] = key
        self.ports[port] = key
        self.replicas[key.service] += 1
        self.total += 1

    def change_port(self, old: int, new: int) -> None:
        self.ports[new] = self.ports.pop(old)
