"""Hosts in the order in which a strategy tries them. Keeps the order while hosts fill up; refuses nobody for good but
those whose GPUs are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush

from deployer.planning.ledger import Ledger

# no GPU where one is liked, own replicas, how much would have to be fetched, all replicas, free GPUs, name
Order = tuple[bool, int, int, int, int, str]
LACKS_ALL = 3


class Candidates:
    """For all services that select the same hosts and want as many GPUs (None: one if there is one), or as many shares.

    Replicas are only ever added, so an entry of the heap is outdated when the host's order is another one by then.
    """

    def __init__(self, ledgers: Iterable[Ledger], spread: bool, wanted: int | None, share: bool = False) -> None:
        self._ledgers = {ledger.name: ledger for ledger in ledgers}
        self._sign = 1 if spread else -1
        self._wanted, self._share = wanted, share
        self._heap = [self._order(ledger) for ledger in self._ledgers.values()]
        heapify(self._heap)

    def first(
        self, mine: Mapping[str, int], fits: Callable[[Ledger], bool], lacks: Mapping[str, int] | None = None
    ) -> Ledger | None:
        """The first host that fits. `mine`: how many replicas of the service the hosts have that have any. `lacks`: how
        much those hosts do not have of what the service needs that have some of it."""
        lacks = lacks or {}
        apart = {**mine, **lacks}
        own = [
            self._order(self._ledgers[name], mine.get(name, 0), lacks.get(name, LACKS_ALL))
            for name in apart
            if name in self._ledgers
        ]
        heapify(own)
        passed: list[Order] = []
        try:
            while own or self._heap:
                head = self._head(apart, passed)
                if own and (head is None or own[0] < head):
                    name = heappop(own)[-1]
                elif head is not None:
                    passed.append(heappop(self._heap))
                    name = head[-1]
                else:
                    return None
                if fits(self._ledgers[name]):
                    return self._ledgers[name]
            return None
        finally:
            for entry in passed:
                heappush(self._heap, entry)

    def changed(self, name: str) -> None:
        """A replica was added to that host."""
        if name in self._ledgers:
            heappush(self._heap, self._order(self._ledgers[name]))

    def _head(self, apart: Mapping[str, int], passed: list[Order]) -> Order | None:
        while self._heap:
            head = self._heap[0]
            ledger = self._ledgers[head[-1]]
            if head != self._order(ledger) or (self._wanted or 0) > self._free(ledger):
                heappop(self._heap)
            elif head[-1] in apart:
                passed.append(heappop(self._heap))
            else:
                return head
        return None

    def _order(self, ledger: Ledger, mine: int = 0, lacks: int = LACKS_ALL) -> Order:
        free = 0 if self._wanted == 0 else self._free(ledger)
        no_gpu = self._wanted is None and free <= 0
        return (no_gpu, self._sign * mine, lacks, self._sign * ledger.total, -self._sign * free, ledger.name)

    def _free(self, ledger: Ledger) -> int:
        return ledger.shareable if self._share else ledger.free
