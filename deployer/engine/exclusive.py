"""A GPU is one container's, or several share it that say how much they take: looked at again around every start, since
of GPUs and ports Docker refuses only ports.

An apply decides by the containers that run, and its host starts the new one only while it is still these that run: one
start at a time, of all projects (see `guard`), and on a GPU that is shared only once the one before it has answered.
Whoever starts containers without that is seen afterwards: of two on one GPU the one that started later gives way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection

from deployer.dataclass import replace
from deployer.engine.context import Site, failed
from deployer.engine.gpu_turns import await_turn, look_quietly, neighbours, running_ids, shared_gpus
from deployer.engine.guard import RunningMoved
from deployer.errors import OperationError
from deployer.values.facts import ObservedContainer

TRIES = 10  # to start between what comes and goes on a busy host


def refuse_taken_gpus(site: Site, state: ObservedContainer, beside: Collection[str]) -> None:
    """Before the start: raises `gpu-taken` where a running container has one of its GPUs that is not `beside` it."""
    if state.gpus:
        _refuse(site, state, beside, running_ids(site))


def start_alone(site: Site, state: ObservedContainer, beside: Collection[str], start: Callable[[Site], object]) -> None:
    """Starts it while nobody else has one of its GPUs. Where containers come and go all the time it is started at last
    whatever runs, and `lost_race` decides."""
    for _ in range(TRIES if state.gpus else 0):
        running = await_turn(site, state)
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
    started = look_quietly(site, state.id) if state.gpus else None
    if started is None:
        return None
    mine = _moment(started)
    others = _others_on_gpus(site, state, beside, running_ids(site))
    winner = next((other for other in others if _moment(other) < mine), None)
    return _taken(site, state, winner) if winner is not None else None


def _others_on_gpus(
    site: Site, state: ObservedContainer, beside: Collection[str], running: Collection[str]
) -> list[ObservedContainer]:
    found = [c for c in neighbours(site, state, running) if c.id not in beside]
    return [c for c in found if c.gpu_share is None] if _has_room(site, state, found) else found


def _has_room(site: Site, state: ObservedContainer, others: list[ObservedContainer]) -> bool:
    """Beside those that share its GPUs too."""
    sharing = [(uuid, c.gpu_share) for c in (state, *others) for uuid in c.gpus if c.gpu_share is not None]
    sizes = {gpu.uuid: gpu.memory_total or 0 for gpu in site.context.gpus.get(site.host, ())}
    taken = {uuid: sum(share for name, share in sharing if name == uuid) for uuid in state.gpus}
    return state.gpu_share is not None and all(taken[uuid] <= sizes.get(uuid, 0) for uuid in state.gpus)


def _moment(state: ObservedContainer) -> tuple[str, str, str]:
    """When it started, by its host's clock: comparable, unlike RFC 3339 with as many digits as are not zero."""
    second, _, fraction = state.started_at.removesuffix("Z").partition(".")
    return second, fraction.ljust(9, "0"), state.id


def _taken(site: Site, state: ObservedContainer, other: ObservedContainer) -> OperationError:
    gpus = ", ".join(sorted(shared_gpus(state, other)))
    return failed(
        "gpu-taken",
        f"GPU {gpus} is taken by container `{site.words(other.name)}` since the plan was made",
        "plan again, or stop that container",
        host=site.host,
    )
