"""Who may run now: one job per lane, so many in all. Starts nothing itself and knows no threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Lanes(Generic[Job]):
    """Jobs of one lane run one after the other, in the order they were added; lanes run beside each other."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._busy: set[Hashable] = set()
        self._queues: dict[Hashable, deque[Job]] = {}
        self._idle: deque[Hashable] = deque()  # lanes with jobs of which none runs

    def add(self, lane: Hashable, job: Job, *, first: bool = False) -> None:
        queue = self._queues.setdefault(lane, deque())
        if not queue and lane not in self._busy:
            (self._idle.appendleft if first else self._idle.append)(lane)
        (queue.appendleft if first else queue.append)(job)

    def take(self) -> Iterator[Job]:
        """All jobs that may start now; each keeps its lane busy until `release`."""
        while self._idle and len(self._busy) < self._limit:
            lane = self._idle.popleft()
            self._busy.add(lane)
            queue = self._queues[lane]
            job = queue.popleft()
            if not queue:
                del self._queues[lane]
            yield job

    def release(self, lane: Hashable) -> None:
        self._busy.remove(lane)
        if lane in self._queues:
            self._idle.append(lane)

    @property
    def running(self) -> int:
        return len(self._busy)
