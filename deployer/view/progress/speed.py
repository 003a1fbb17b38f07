"""How fast bytes come, by those of the last seconds, and how long the rest takes. Times come from outside."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.view.measures import render_bytes, render_seconds

WINDOW = 20.0  # seconds that a rate is taken over
LEAST = 2.0  # seconds before there is one


@dataclass(slots=True)
class Speed:
    """What was there at the first look is nobody's speed: a fetch that goes on from a part counts what came since."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)
    total: int | None = None

    @classmethod
    def over(cls, total: int) -> Speed:
        """Of what came whole."""
        return cls(deque([(0.0, total)]), total)

    def note(self, now: float, done: int, total: int | None) -> None:
        if self.seen and done < self.seen[-1][1]:
            self.seen.clear()  # something was begun anew
        self.seen.append((now, done))
        self.total = total
        while len(self.seen) > 2 and now - self.seen[1][0] >= WINDOW:
            self.seen.popleft()

    @property
    def done(self) -> int:
        return self.seen[-1][1] if self.seen else 0

    def rate(self, now: float) -> float | None:
        """Bytes a second; None before anything can be said."""
        if len(self.seen) < 2 or now - self.seen[0][0] < LEAST:
            return None
        return (self.done - self.seen[0][1]) / (now - self.seen[0][0])


def render_speed(speeds: Iterable[Speed], now: float) -> str:
    """`35 MiB/s, 31 s left` of all of them together; empty where nothing can be said."""
    known = [*speeds]
    rates = [rate for speed in known if (rate := speed.rate(now)) is not None]
    if not rates:
        return ""
    rate = sum(rates)
    totals = [speed.total for speed in known]
    said = f"{render_bytes(rate)}/s"
    if rate < 1 or None in totals:
        return said
    left = sum(total or 0 for total in totals) - sum(speed.done for speed in known)
    return f"{said}, {render_seconds(max(left, 0) / rate)} left"
