"""How long a service is down while a plan runs: as its last start took on that host, or else at most as it may take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from deployer.dataclass import dataclass
from deployer.planning.desired import DesiredReplica
from deployer.planning.handover import Handover
from deployer.planning.readiness import await_ready, probes
from deployer.planning.replicas import Found
from deployer.planning.undo import grace_of
from deployer.values.plan import Downtime


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from a predecessor's end to its successor's answer. `measured`: by what its host noted of the last start
    there; else the sum of all that its stop, its start and its first answer may take."""

    seconds: float
    measured: bool


def start_of(replica: DesiredReplica, items: Iterable[Found]) -> Start:
    """`items`: containers of the replica."""
    took = (found.facts.answered.get(found.container.id) for found in items if found.host == replica.host)
    noted = next((seconds for seconds in took if seconds is not None), None)
    if noted is not None:
        return Start(noted, True)
    asked = sum(probe.timeout for probe in probes(replica))
    return Start(grace_of(replica) + await_ready(replica).timeout + asked, False)


def downtime_of(swapped: Sequence[Handover], at_once: int, allowed: float | None) -> Downtime | None:
    """Of a service whose every replica is down at some moment, so many `at_once`: the longest start, once a wave."""
    starts = [start_of(h.new, h.containers) for h in swapped if h.new is not None]
    if not starts:
        return None
    waves = math.ceil(len(swapped) / max(1, at_once))
    return Downtime(waves * max(s.seconds for s in starts), all(s.measured for s in starts), allowed)
