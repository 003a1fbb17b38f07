"""A GPU is one container's, or several share it that say how much they take: looked at again around every start, since
of GPUs and ports Docker refuses only ports.

An apply decides by the containers that run, and its host starts the new one only while it is still these that run: one
start at a time, of all projects (see `guard`). Whoever starts containers without that is seen afterwards: of two on one
GPU the one that started later gives way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from dataclasses import replace

from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.shapes import text_of
from deployer.engine.context import Site, failed
from deployer.engine.guard import RunningMoved
from deployer.engine.ownership import look
from deployer.errors import OperationError
from deployer.values.facts import ObservedContainer

MOST_CONTAINERS = 1000
TRIES = 10  # to start between what comes and goes on a busy host


def refuse_taken_gpus(site: Site, state: ObservedContainer, beside: Collection[str]) -> None:
    """Before the start: raises `gpu-taken` where a running container has one of its GPUs that is not `beside` it."""
    if state.gpus:
        _refuse(site, state, beside, _running(site))


def start_alone(site: Site, state: ObservedContainer, beside: Collection[str], start: Callable[[Site], object]) -> None:
    """Starts it while nobody else has one of its GPUs. Where containers come and go all the time it is started at last
    whatever runs, and `lost_race` decides."""
    for _ in range(TRIES if state.gpus else 0):
        running = _running(site)
        _refuse(site, state, beside, running)
        with contextlib.suppress(RunningMoved):
            start(replace(site, running=frozenset(running)))
            return
    start(site)


def _refuse(site: Site, state: ObservedContainer, beside: Collection[str], running: Collection[str]) -> None:
    for other in _others_on_gpus(site, state, beside, running):
        raise _taken(site, state, other)


def lost_race(site: Site, state: ObservedContainer, beside: Collection[str]) -> OperationError | None:
    """After the start: why the container must give way to one that started before it."""
    started = _seen(site, state.id) if state.gpus else None
    if started is None:
        return None
    mine = _moment(started)
    others = _others_on_gpus(site, state, beside, _running(site))
    winner = next((other for other in others if _moment(other) < mine), None)
    return _taken(site, state, winner) if winner is not None else None


def _others_on_gpus(
    site: Site, state: ObservedContainer, beside: Collection[str], running: Collection[str]
) -> list[ObservedContainer]:
    if not state.gpus:
        return []
    seen = (_seen(site, id_) for id_ in running if id_ != state.id and id_ not in beside)
    found = [c for c in seen if c is not None and c.status in ("running", "paused") and _shared(state, c)]
    return [c for c in found if c.gpu_share is None] if _has_room(site, state, found) else found


def _has_room(site: Site, state: ObservedContainer, others: list[ObservedContainer]) -> bool:
    """Beside those that share its GPUs too."""
    sharing = [(uuid, c.gpu_share) for c in (state, *others) for uuid in c.gpus if c.gpu_share is not None]
    sizes = {gpu.uuid: gpu.memory_total or 0 for gpu in site.context.gpus.get(site.host, ())}
    taken = {uuid: sum(share for name, share in sharing if name == uuid) for uuid in state.gpus}
    return state.gpu_share is not None and all(taken[uuid] <= sizes.get(uuid, 0) for uuid in state.gpus)


def _seen(site: Site, id_: str) -> ObservedContainer | None:
    """None also where Docker cannot describe it: then it holds no GPU that is known, as in a plan."""
    try:
        return look(site, id_)
    except OperationError:
        return None


def _shared(one: ObservedContainer, other: ObservedContainer) -> set[str]:
    if "all" in one.gpus or "all" in other.gpus:
        return {"all"} if one.gpus and other.gpus else set()
    return {*one.gpus} & {*other.gpus}


def _running(site: Site) -> list[str]:
    try:
        with engine_calls(site.host):
            listed = site.transport.docker().containers(quiet=True)
    except Refusal as refusal:
        raise site.refused(refusal, "list", "all") from None
    return [text_of(entry, "Id") for entry in listed[:MOST_CONTAINERS] if isinstance(entry, dict)]


def _moment(state: ObservedContainer) -> tuple[str, str, str]:
    """When it started, by its host's clock: comparable, unlike RFC 3339 with as many digits as are not zero."""
    second, _, fraction = state.started_at.removesuffix("Z").partition(".")
    return second, fraction.ljust(9, "0"), state.id


def _taken(site: Site, state: ObservedContainer, other: ObservedContainer) -> OperationError:
    gpus = ", ".join(sorted(_shared(state, other)))
    return failed(
        "gpu-taken",
        f"GPU {gpus} is taken by container `{site.words(other.name)}` since the plan was made",
        "plan again, or stop that container",
        host=site.host,
    )
