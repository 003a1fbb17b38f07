"""Where a replica goes, and with what: data."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.dataclass import dataclass
from deployer.planning.choice import ServiceChoice
from deployer.planning.handmade import HandMade
from deployer.planning.host_memory import MemoryClaim
from deployer.planning.render_request import ModelFacts
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a replica goes; `port` is the host's."""

    key: ReplicaKey
    choice: ServiceChoice
    facts: HostFacts
    model: ModelFacts
    gpus: tuple[str, ...]
    port: int
    draft: ModelFacts | None = None  # of speculative decoding
    others: tuple[ModelFacts, ...] = ()  # of the service's models after the first
    taken: tuple[HandMade, ...] = ()  # whose place it takes
    beside: frozenset[str] = frozenset()  # `port`, `gpus`, `host`: others than it could keep, so that both can run
    share: int | None = None  # bytes of each of its GPUs that it takes at most, where it shares them
    cache: int | None = None  # bytes of these for its cache, where that is known
    need: int | None = None  # bytes of each of its GPUs by the estimate, where that is known
    memory: MemoryClaim | None = None  # of its host's own, where some of that is reserved

    @property
    def host(self) -> str:
        return self.facts.name


@dataclass(frozen=True, slots=True)
class Weights:
    """Files of a service on one host: of its first model, of the others, and of the draft model."""

    model: ModelFacts
    others: tuple[ModelFacts, ...]
    draft: ModelFacts | None


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Replicas of a service that fit on no host. `refusals`: why, by host."""

    choice: ServiceChoice
    keys: tuple[ReplicaKey, ...]
    refusals: Mapping[str, str]
