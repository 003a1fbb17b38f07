"""Whose turn it is in a rollout: windows, canaries, claims that are given back, replicas that go down together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.planning.claimorder import recreates
from deployer.planning.handover import Handover
from deployer.planning.layout import Layout, present
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Cause

CREATES = (Action.CREATE, Action.REPLACE, Action.MOVE)
SWAPS = (Action.REPLACE, Action.MOVE)


@dataclass(slots=True)
class Turns:
    """`before`: by service, the replicas that had their turn to be handed over; `canaries`: who goes first."""

    on: Layout
    before: dict[str, list[ReplicaKey]] = field(default_factory=dict)
    canaries: dict[str, ReplicaKey] = field(default_factory=dict)

    def taken(self, h: Handover) -> None:
        if h.change.action in SWAPS:
            self.before.setdefault(h.key.service, []).append(h.key)
        if _is_new(h) and h.new is not None and h.new.choice.service.rollout.strategy == "canary":
            self.canaries.setdefault(h.key.service, h.key)

    def window(self, h: Handover) -> tuple[str, ...]:
        """At most `max_unavailable` replicas of a service are handed over at a time (one, where it is 0), but for those
        that can only go down together: they wait for all before them, and whoever comes later for all of them."""
        first = self._canary(h)
        if h.change.action not in SWAPS or recreates(h):
            return first
        earlier = self.before.get(h.key.service, [])
        size = max(1, present(h.new).choice.service.rollout.max_unavailable)
        mine = self.on.together.get(h.key, ())
        if mine:
            keys = [key for key in earlier if key not in mine][-size:]
        else:
            keys = earlier[-size : len(earlier) - size + 1] if len(earlier) >= size else []
        return tuple(dict.fromkeys((*first, *settled(self.on, keys))))

    def _canary(self, h: Handover) -> tuple[str, ...]:
        """What runs the new revision waits until the first replica that does has answered."""
        canary = self.canaries.get(h.key.service)
        if canary is None or not _is_new(h) or canary in self.on.together.get(h.key, ()):
            return ()
        return settled(self.on, [canary])


def _is_new(h: Handover) -> bool:
    """It brings a revision that has not answered yet on its host."""
    if h.change.action in CREATES:
        return h.change.cause is not Cause.DEFAULT
    return any(reason.code == "unfinished" for reason in h.change.reasons)


def settled(on: Layout, keys: Iterable[ReplicaKey]) -> tuple[str, ...]:
    """The commits of these replicas, and of those that can still take them down again."""
    members = [key for first in keys for key in on.together.get(first, (first,))]
    return tuple(dict.fromkeys(on.ready[key] for key in members if key in on.ready))


def add_claim_needs(on: Layout) -> None:
    """A replica waits until others have given back what it claims, and won't want it back: their successor answers.
    Where they wait for each other only the start waits, for the stop."""
    for key, others in on.waits.items():
        new = on.by_key[key].new
        start, create = (f"{new.host}/{key}/{verb}" if new else "" for verb in ("start", "create"))
        swap = on.swaps.get(key)
        own = on.stops.get(key, ()) if swap is not None and swap.stops_first else ()
        for other in sorted(others) if new is not None else ():
            if other in on.together.get(key, ()):
                on.steps.need(start, on.stops.get(other, ()))
                continue
            for first in (create,) if create in on.steps.steps else (*own, start):
                on.steps.need(first, (*on.stops.get(other, ()), *settled(on, [other])))


def bind_together(on: Layout) -> None:
    """Replicas that are swapped together: none is committed before all answer, nothing removed before all are."""
    for key, group in on.together.items():
        if key in on.ready:
            on.steps.need(on.ready[key], [on.answered[other] for other in group if other in on.answered])
        for step in on.retired.get(key, ()):
            on.steps.need(step, [on.ready[other] for other in group if other in on.ready])


def hold_recreated(on: Layout) -> None:
    """`strategy: recreate`: all replicas of the service stop before the first successor starts."""
    by_service: dict[str, list[ReplicaKey]] = {}
    for key, handover in on.by_key.items():
        if recreates(handover):
            by_service.setdefault(key.service, []).append(key)
    for keys in by_service.values():
        stops = [step for key in keys for step in on.stops.get(key, ())]
        for key in keys:
            on.steps.need(f"{present(on.by_key[key].new).host}/{key}/start", stops)
