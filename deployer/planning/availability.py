"""How many replicas of each service stay ready while a plan runs, and what breaks the spec's promise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deployer.errors import Diagnostic
from deployer.planning.choice import ServiceChoice
from deployer.planning.diff import Handover
from deployer.spec.project import Project
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Availability, Cause

TAKES_DOWN = (Action.REPLACE, Action.MOVE)


def availability(
    handovers: Iterable[Handover], choices: Mapping[str, ServiceChoice], stop_first: set[ReplicaKey]
) -> tuple[Availability, ...]:
    """One entry a service that exists or existed, in name order."""
    by_service: dict[str, list[Handover]] = {name: [] for name in choices}
    for handover in handovers:
        by_service.setdefault(handover.key.service, []).append(handover)
    return tuple(_of(name, items, choices.get(name), stop_first) for name, items in sorted(by_service.items()))


def _of(name: str, items: list[Handover], choice: ServiceChoice | None, stop_first: set[ReplicaKey]) -> Availability:
    before = sum(_answers(h) for h in items)
    gone = sum(h.change.action in (Action.REMOVE, Action.STOP) and _answers(h) for h in items)
    swapped = sum(_is_swap(h, stop_first) and _answers(h) for h in items)
    if choice is not None and choice.service.rollout.strategy != "recreate":
        swapped = min(swapped, max(1, choice.service.rollout.max_unavailable))
    wanted = choice is not None and choice.service.state == "running"
    desired = choice.service.replicas if choice is not None and wanted else 0
    min_ready = max(0, before - gone - swapped)
    return Availability(name, before, min_ready, desired, downtime=before > 0 and min_ready == 0 and desired > 0)


def _answers(h: Handover) -> bool:
    items = (*h.live, *((h.match,) if h.match is not None else ()))
    return any(f.container.status == "running" and f.is_verified for f in items)


def _is_swap(h: Handover, stop_first: set[ReplicaKey]) -> bool:
    return h.change.action in TAKES_DOWN and h.change.cause is not Cause.DEFAULT and h.key in stop_first


def broken_promises(
    project: Project, handovers: Iterable[Handover], choices: Mapping[str, ServiceChoice], stop_first: set[ReplicaKey]
) -> tuple[Diagnostic, ...]:
    """Services with `max_unavailable: 0` whose replicas can only be replaced stop-first."""
    forced: dict[str, list[Handover]] = {}
    for h in handovers:
        choice = choices.get(h.key.service)
        if choice is not None and choice.service.rollout.max_unavailable == 0 and _is_swap(h, stop_first):
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
