"""How many replicas of each service stay ready while a plan runs, and what breaks the spec's promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import field

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic
from deployer.planning.choice import ServiceChoice
from deployer.planning.downtime import downtime_of
from deployer.planning.handover import Handover
from deployer.spec.project import Project
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Availability, Cause

TAKES_DOWN = (Action.REPLACE, Action.MOVE)


@dataclass(frozen=True, slots=True)
class Downs:
    """Replicas that are stopped before their successors start, and those of them that go down at the same time."""

    stop_first: Set[ReplicaKey] = frozenset()
    together: Mapping[ReplicaKey, tuple[ReplicaKey, ...]] = field(default_factory=dict)

    def at_once(self) -> dict[str, int]:
        """By service, how many of its replicas can only go down together."""
        most: dict[str, int] = {}
        for group in set(self.together.values()):
            for service, count in Counter(key.service for key in group).items():
                most[service] = max(count, most.get(service, 0))
        return most


def availability(
    handovers: Iterable[Handover], choices: Mapping[str, ServiceChoice], downs: Downs
) -> tuple[Availability, ...]:
    """One entry a service that exists or existed, in name order."""
    by_service: dict[str, list[Handover]] = {name: [] for name in choices}
    for handover in handovers:
        by_service.setdefault(handover.key.service, []).append(handover)
    at_once = downs.at_once()
    found = []
    for name, items in sorted(by_service.items()):
        swapped = [h for h in items if _is_swap(h, downs) and _answers(h)]
        found.append(_of(name, items, choices.get(name), _most_down(choices.get(name), len(swapped), at_once)))
        taking = [h for h in items if h.key in downs.stop_first and any(made.runs for made in h.taken)]
        if taking and not found[-1].min_ready:
            found[-1] = replace(found[-1], downtime=True)  # a hand-made container counts as no replica, but it serves
        if found[-1].downtime and (choice := choices.get(name)) is not None:
            every = list({h.key: h for h in (*swapped, *taking)}.values())
            most = _most_down(choice, len(every), at_once)
            down = downtime_of(every, most, choice.service.rollout.max_downtime)
            found[-1] = replace(found[-1], down=down)
    return tuple(found)


def _most_down(choice: ServiceChoice | None, swapped: int, at_once: Mapping[str, int]) -> int:
    """Of so many that are swapped stop-first, how many are down at one time."""
    if choice is None or choice.service.rollout.strategy == "recreate":
        return swapped
    return min(swapped, max(1, choice.service.rollout.max_unavailable, at_once.get(choice.name, 0)))


def _of(name: str, items: list[Handover], choice: ServiceChoice | None, down: int) -> Availability:
    before = sum(_answers(h) for h in items)
    gone = sum(h.change.action in (Action.REMOVE, Action.STOP) and _answers(h) for h in items)
    wanted = choice is not None and choice.service.state == "running"
    desired = choice.service.replicas if choice is not None and wanted else 0
    min_ready = max(0, before - gone - down)
    downtime = before > 0 and min_ready == 0 and desired > 0
    return Availability(name, before, min_ready, desired, downtime, too_many=down if _is_too_many(choice, down) else 0)


def _is_too_many(choice: ServiceChoice | None, down: int) -> bool:
    """Of one that allows none, `broken_promises` says it."""
    if choice is None or choice.service.rollout.strategy == "recreate":
        return False
    return down > max(1, choice.service.rollout.max_unavailable)


def _answers(h: Handover) -> bool:
    items = (*h.live, *((h.match,) if h.match is not None else ()))
    return any(f.container.status == "running" and f.is_verified for f in items)


def _is_swap(h: Handover, downs: Downs) -> bool:
    return h.change.action in TAKES_DOWN and h.change.cause is not Cause.DEFAULT and h.key in downs.stop_first


def broken_promises(
    project: Project, handovers: Iterable[Handover], choices: Mapping[str, ServiceChoice], downs: Downs
) -> tuple[Diagnostic, ...]:
    """Services with `max_unavailable: 0` whose replicas can only be replaced stop-first."""
    forced: dict[str, list[Handover]] = {}
    for h in handovers:
        choice = choices.get(h.key.service)
        if choice is not None and choice.service.rollout.max_unavailable == 0 and _is_swap(h, downs):
            forced.setdefault(h.key.service, []).append(h)
    return tuple(
        Diagnostic(
            "max-unavailable",
            f"service `{name}` allows no unavailable replica, but {len(items)} can only be replaced stop-first",
            project.where("services", name, "rollout", "max_unavailable"),
            evidence=tuple(f"{h.key} on {h.change.host} claims the GPU or port of its predecessor" for h in items),
            hint="free a GPU, leave `port` unset, or set `rollout.max_unavailable: 1`",
        )
        for name, items in sorted(forced.items())
    )
