"""Another place for a successor, so that what it replaces serves until it has answered: a free port and free GPUs of
the same host; another host only where the service could not keep what its spec promises otherwise. Orders nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from deployer.dataclass import dataclass, replace
from deployer.planning.choice import ServiceChoice
from deployer.planning.claimants import claims_wanted
from deployer.planning.claims import Claim
from deployer.planning.desired import DesiredReplica, Wanted, desired_replica
from deployer.planning.diff import is_in_the_way
from deployer.planning.downtime import start_of
from deployer.planning.placed import Placed
from deployer.planning.placement import Placer
from deployer.planning.port_choice import Wish
from deployer.planning.replicas import Found


@dataclass(frozen=True, slots=True)
class Beside:
    """Once all replicas have a place. A replica may have what another one of its service leaves for such a place: one
    free GPU is enough for all of them, one after the other."""

    placer: Placer
    wanted: Wanted
    choices: Mapping[str, ServiceChoice]

    def placed_well(self, replica: DesiredReplica) -> DesiredReplica:
        """The replica where it can start beside what it replaces; as it is where nothing is in its way, and where there
        is no such place. What an earlier try left is gone on with, or else left alone: it may be in the way too."""
        items = self.wanted.found.get(replica.key, ())
        tries = {item.container.name for item in items if item.is_live and not item.is_verified}
        other = self._elsewhere(replica, items, frozenset())
        if tries and other is not None and other.name not in tries:
            held = _held([item for item in items if not item.is_verified])
            other = self._elsewhere(other, items, held) or other
        return other or replica

    def _elsewhere(
        self, replica: DesiredReplica, items: tuple[Found, ...], avoided: frozenset[Claim]
    ) -> DesiredReplica | None:
        if not is_in_the_way(replica, items) or replica.placed.taken:
            return None
        mine = claims_wanted(replica) & _held(items)
        others = Others(self, replica, items, avoided)
        if not mine:
            return None
        other = self.placer.instead(replica.placed, lambda: next(others.places(mine), None))
        return desired_replica(self.wanted, other) if other is not None else None


@dataclass(frozen=True, slots=True)
class Others:
    """Other places for one replica. `avoided`: what none of them may have."""

    beside: Beside
    replica: DesiredReplica
    items: tuple[Found, ...]
    avoided: frozenset[Claim]

    @property
    def placed(self) -> Placed:
        return self.replica.placed

    @property
    def _placer(self) -> Placer:
        return self.beside.placer

    def places(self, mine: frozenset[Claim]) -> Iterator[Placed]:
        """Where it meets nothing of `mine`, which its predecessors have. Other GPUs are only for what serves, unless it
        is to be stopped first; on GPUs that are shared there may be room for both."""
        is_fixed = self.placed.choice.service.port.number is not None
        if not is_fixed and all(kind != "gpu" for _, kind, _ in mine):
            yield from self._with_port(self.placed, "port")
            return
        serves = any(item.is_live and item.is_verified for item in self.items)
        if not serves or self.placed.share is not None or self.replica.choice.service.rollout.strategy == "recreate":
            return
        if not is_fixed:
            yield from self._on(self.placed.host, "gpus", "port")
        for name in self._placer.hosts_for(self.placed.choice) if breaks_a_promise(self.replica, self.items) else ():
            if name != self.placed.host:
                yield from self._on(name, "host", "gpus", "port")

    def _on(self, name: str, *other: str) -> Iterator[Placed]:
        """As many GPUs of the same kind."""
        taken = frozenset(gpu for _, kind, gpu in self._taken(name, leaving=True) if kind == "gpu")
        key = self.replica.key
        found = self._placer.places.on(name, Wish(self.beside.choices[key.service], key, without=taken))
        if isinstance(found, Placed) and _cards(found) == _cards(self.placed):
            yield from self._with_port(found, *other)

    def _with_port(self, at: Placed, *other: str) -> Iterator[Placed]:
        """With a port that nobody has. `other`: what it could keep otherwise."""
        is_fixed = at.choice.service.port.number is not None
        taken = {int(port) for _, kind, port in self._taken(at.host, leaving=is_fixed) if kind == "port/tcp"}
        ports = (at.port,) if is_fixed else self._placer.places.ledgers[at.host].pickable_ports(self.replica.key)
        port = next((port for port in ports if port not in taken), None)
        if port is not None:
            yield replace(at, port=port, beside=frozenset(other))

    def _taken(self, host: str, *, leaving: bool) -> frozenset[Claim]:
        """What running containers of ours have on a host, but for earlier tries of this very replica. `leaving`: and
        but for others of its service, which are given what they keep."""
        here = self._placer.by_host.get(host, ())
        return self.avoided.union(*(i.held for i in here if not self._gives_way(i, leaving)))

    def _gives_way(self, item: Found, leaving: bool) -> bool:
        if item.recorded.key == self.replica.key:
            return not item.is_verified
        return leaving and item.recorded.key.service == self.replica.key.service and item.is_verified


def breaks_a_promise(replica: DesiredReplica, items: Iterable[Found]) -> bool:
    """Stopped before its successor starts: no replica may be down, or all of them are for longer than may be."""
    service = replica.choice.service
    rollout = service.rollout
    if rollout.max_unavailable == 0:
        return True
    start = start_of(replica, items)
    is_all = service.replicas <= rollout.max_unavailable
    return is_all and rollout.max_downtime is not None and start.seconds > rollout.max_downtime


def _held(items: Iterable[Found]) -> frozenset[Claim]:
    return frozenset().union(*(item.held for item in items))


def _cards(placed: Placed) -> list[tuple[str, int | None]]:
    return sorted((gpu.name, gpu.memory_total) for gpu in placed.facts.gpus if gpu.uuid in placed.gpus)
