"""How long a service is down while a plan runs: as its last start took on that host, or else at most as it may take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deployer.dataclass import dataclass
from deployer.planning.diff import Handover
from deployer.planning.readiness import await_ready, probes
from deployer.planning.undo import grace_of
from deployer.values.plan import Downtime


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from a predecessor's end to its successor's answer. `measured`: by what its host noted of the last start
    there; else the sum of all that its stop, its start and its first answer may take."""

    seconds: float
    measured: bool


def start_of(h: Handover) -> Start | None:
    if h.new is None:
        return None
    took = (
        found.facts.answered.get(found.container.id)
        for found in (*((h.match,) if h.match is not None else ()), *h.live, *h.stale)
        if found.host == h.new.host
    )
    noted = next((seconds for seconds in took if seconds is not None), None)
    if noted is not None:
        return Start(noted, True)
    asked = sum(probe.timeout for probe in probes(h.new))
    return Start(grace_of(h.new) + await_ready(h.new).timeout + asked, False)


def downtime_of(swapped: Sequence[Handover], at_once: int, allowed: float | None) -> Downtime | None:
    """Of a service whose every replica is down at some moment, so many `at_once`: the longest start, once a wave."""
    starts = [start for h in swapped if (start := start_of(h)) is not None]
    if not starts:
        return None
    waves = math.ceil(len(swapped) / max(1, at_once))
    return Downtime(waves * max(s.seconds for s in starts), all(s.measured for s in starts), allowed)
