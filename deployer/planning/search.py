"""Another arrangement of replicas that wait for a place, where taking one after the other left some without. Exact on
small fleets, within a number of tries; what runs already is not moved for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, product

from deployer.planning.choice import ServiceChoice
from deployer.planning.gpus import entries_of, has_own_lists
from deployer.planning.ledger import Ledger
from deployer.planning.placed import Placed
from deployer.planning.places import Places
from deployer.planning.port_choice import Wish
from deployer.values.gpu_facts import Gpu
from deployer.values.names import ReplicaKey

Waiting = tuple[ServiceChoice, ReplicaKey]
Found = Mapping[ReplicaKey, Placed]
MOST_TRIES = 1000
MOST_WAITING, MOST_HOSTS = 24, 24
MOST_KINDS = 64  # combinations of kinds of GPUs that are tried on one host


class Search:
    """`hosts`: of a service, those that it may be on."""

    def __init__(self, places: Places, hosts: Callable[[ServiceChoice], Sequence[str]]) -> None:
        self._places, self._hosts = places, hosts
        self._tries = MOST_TRIES
        self._best: Found = {}
        self._most = 0  # replicas that could still be placed, at best
        self._listed: dict[str, frozenset[str]] = {}

    def best(self, waiting: Sequence[Waiting], known: int) -> Found | None:
        """An arrangement of more than the `known` number of replicas, of as many as possible."""
        if len(waiting) > MOST_WAITING or len(self._places.ledgers) > MOST_HOSTS:
            return None
        alone = {c.name: next(self._options((c, key), 0), None) for c, key in reversed(waiting) if not has_own_lists(c)}
        items = [(choice, key) for choice, key in waiting if alone.get(choice.name, True)]
        if len(items) <= known:
            return None
        self._best, self._most = {}, len(items)
        self._listed = {str(key): frozenset(entries_of(choice, key.index)) for choice, key in items}
        self._extend(items, {}, known)
        return self._best or None

    def _extend(self, items: Sequence[Waiting], placed: dict[ReplicaKey, Placed], known: int) -> None:
        if len(placed) + len(items) <= max(known, len(self._best)) or self._tries <= 0:
            return
        if not items:
            self._best = dict(placed)
            return
        first, rest = items[0], items[1:]
        for option in self._options(first, self._first_host(first, placed)):
            self._places.take(option)
            self._extend(rest, {**placed, option.key: option}, known)
            self._places.give_back(option)
            if len(self._best) == self._most:
                return
        alike = [item for item in rest if item[0] is not first[0] or has_own_lists(first[0])]
        self._extend(alike, placed, known)

    def _first_host(self, item: Waiting, placed: Mapping[ReplicaKey, Placed]) -> int:
        """Replicas of a service that are alike are tried in one order only."""
        choice, key = item
        before = placed.get(ReplicaKey(key.service, key.index - 1)) if not has_own_lists(choice) else None
        return self._hosts(choice).index(before.host) if before is not None else 0

    def _options(self, item: Waiting, first: int) -> Iterator[Placed]:
        for name in self._hosts(item[0])[first:]:
            if name in self._places.ledgers:
                yield from self._on(name, item)

    def _on(self, name: str, item: Waiting) -> Iterator[Placed]:
        """One place on a host for each combination of kinds of GPUs."""
        usual = self._attempt(name, Wish(*item))
        if usual is None:
            return
        yield usual
        kinds = self._kinds(self._places.ledgers[name])
        if len(kinds) < 2 or not usual.gpus:
            return
        seen = {_shape(usual, kinds)}
        for counts in islice(product(*(range(len(gpus) + 1) for gpus in kinds.values())), MOST_KINDS):
            left_out = {uuid for gpus, count in zip(kinds.values(), counts, strict=True) for uuid in gpus[count:]}
            other = self._attempt(name, Wish(*item, without=frozenset(left_out))) if any(counts) else None
            if other is not None and _shape(other, kinds) not in seen:
                seen.add(_shape(other, kinds))
                yield other

    def _attempt(self, name: str, wish: Wish) -> Placed | None:
        self._tries -= 1
        found = self._places.on(name, wish) if self._tries > 0 else ""
        return found if isinstance(found, Placed) else None

    def _kinds(self, ledger: Ledger) -> dict[object, list[str]]:
        """GPUs that are not one replica's alone, those together that are the same to all who wait."""
        found: dict[object, list[str]] = {}
        for gpu in ledger.facts.gpus:
            if not ledger.is_alone(gpu.uuid):
                found.setdefault(self._kind(gpu, ledger), []).append(gpu.uuid)
        return found

    def _kind(self, gpu: Gpu, ledger: Ledger) -> object:
        names = {f"{ledger.name}:{gpu.label}", f"{ledger.name}:{gpu.uuid}"}
        listed = tuple(sorted(name for name, entries in self._listed.items() if entries & names))
        card = (gpu.name, gpu.memory_total, gpu.compute_capability, gpu.problem, gpu.mig_mode, gpu.parent is None)
        return (card, listed, ledger.left(gpu.uuid))


def _shape(placed: Placed, kinds: Mapping[object, Sequence[str]]) -> frozenset[tuple[object, int]]:
    of = {uuid: kind for kind, gpus in kinds.items() for uuid in gpus}
    return frozenset(Counter(of.get(uuid) for uuid in placed.gpus).items())
