"""When `watch` tries a replica again, and when it takes one that answers nobody for stuck. Knows no clock: times are
seconds of any that only goes forward."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.values.names import ReplicaKey

SHORTEST = 10.0  # seconds between the first two attempts
SILENT_FOR = 60.0  # seconds from the first look at which a container did not serve until it counts as stuck
Start = tuple[str, str]  # a container's id, and when it was started


class Patience:
    """Back-off for each replica: the first attempt at once, then ever later, up to `most` seconds between two.

    A replica that has served for as long as that is forgiven. Times are seconds of any clock that only goes forward.
    """

    def __init__(self) -> None:
        self._tried: dict[ReplicaKey, tuple[int, float, float]] = {}  # attempts, the last one, not before

    def may(self, key: ReplicaKey, now: float) -> bool:
        return key not in self._tried or now >= self._tried[key][2]

    def tried(self, key: ReplicaKey, now: float, most: float, jitter: float) -> float:
        """Notes an attempt; returns the seconds until the next one. `jitter`, 0 to 1, takes up to half of them away, so
        that replicas that died together are not started together for ever."""
        attempts = self._tried.get(key, (0, 0.0, 0.0))[0] + 1
        pause = min(most, SHORTEST * 2.0 ** min(attempts - 1, 30)) * (1 - jitter / 2)
        self._tried[key] = (attempts, now, now + pause)
        return pause

    def ended(self, key: ReplicaKey, now: float) -> float:
        """The attempt is over, and the pause begins only now; returns its seconds."""
        attempts, began, until = self._tried[key]
        self._tried[key] = (attempts, now, now + until - began)
        return until - began

    def served(self, key: ReplicaKey, now: float, most: float) -> None:
        if key in self._tried and now - self._tried[key][1] >= most:
            del self._tried[key]


class Strikes:
    """Looks in a row at which a container did not serve, by its start: a restarted one begins anew. It is out after
    `most` of them, the first of which is SILENT_FOR ago: looks may follow each other closely."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: dict[Start, tuple[int, float]] = {}  # how many, and when the first one was
        self._now = 0.0

    def note(self, silent: Mapping[Start, str], now: float) -> None:
        before = {start: self._seen.get(start, (0, now)) for start in silent}
        self._seen = {start: (count + 1, first) for start, (count, first) in before.items()}
        self._now = now

    @property
    def out(self) -> frozenset[Start]:
        seen = self._seen.items()
        return frozenset(s for s, (count, first) in seen if count >= self._most and self._now - first >= SILENT_FOR)
