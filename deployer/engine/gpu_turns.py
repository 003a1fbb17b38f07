"""Who runs on the GPUs of a container, and whose turn it is to start there: one server at a time, of all projects.

A server sizes itself by what is free while it starts. What one apply starts follows its plan; waited for here are other
projects' servers, and those that a dead apply left starting. What has not answered has the restart policy `no`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.ownership import parse_recorded
from deployer.docker.shapes import labels_of, map_of, text_of
from deployer.engine.context import Site
from deployer.engine.ownership import look
from deployer.errors import HostError, OperationError
from deployer.formats.times import seconds_of
from deployer.values.facts import ObservedContainer

MOST_CONTAINERS = 1000
STARTS_WITHIN = 1800  # seconds from its start: after that nobody waits for a server any more
PAUSE, SAY_EVERY, RUN_TIMEOUT = 1.0, 10.0, 20.0


def await_turn(site: Site, state: ObservedContainer) -> list[str]:
    """The ids of all containers that run, once none of them is starting on a GPU that it shares with this one."""
    began, said = site.context.clock(), -SAY_EVERY
    while True:
        running = running_ids(site)
        if state.gpu_share is None:
            return running
        other = next((c for c in neighbours(site, state, running) if _is_starting(site, c)), None)
        elapsed = site.context.clock() - began
        if other is None or elapsed > STARTS_WITHIN:
            return running
        if elapsed - said >= SAY_EVERY:
            said = elapsed
            line = f"(container `{site.words(other.name)}` is starting on a GPU that both share)"
            site.watch.waiting(elapsed, STARTS_WITHIN, line)
        site.watch.pause(PAUSE)


def running_ids(site: Site) -> list[str]:
    try:
        with engine_calls(site.host):
            listed = site.transport.docker().containers(quiet=True)
    except Refusal as refusal:
        raise site.refused(refusal, "list", "all") from None
    return [text_of(entry, "Id") for entry in listed[:MOST_CONTAINERS] if isinstance(entry, dict)]


def neighbours(site: Site, state: ObservedContainer, running: Iterable[str]) -> list[ObservedContainer]:
    """Those that have one of its GPUs too."""
    seen = (look_quietly(site, id_) for id_ in running if id_ != state.id) if state.gpus else ()
    return [c for c in seen if c is not None and c.status in ("running", "paused") and shared_gpus(state, c)]


def look_quietly(site: Site, id_: str) -> ObservedContainer | None:
    """None also where Docker cannot describe it: then it holds no GPU that is known, as in a plan."""
    try:
        return look(site, id_)
    except OperationError:
        return None


def shared_gpus(one: ObservedContainer, other: ObservedContainer) -> set[str]:
    if "all" in one.gpus or "all" in other.gpus:
        return {"all"} if one.gpus and other.gpus else set()
    return {*one.gpus} & {*other.gpus}


def _is_starting(site: Site, other: ObservedContainer) -> bool:
    """It shares its GPUs, and has not answered since deployer started it; not for ever."""
    is_new = other.gpu_share is not None and other.status == "running" and other.restart_policy == "no"
    if not is_new or (site.host, other.name) in site.context.serving:
        return False
    recorded = parse_recorded(labels_of(map_of(_asked(site, "inspect_container", other.id), "Config")))
    if recorded is None:
        return False
    stays_so = recorded.spec is not None and recorded.spec.restart == "no"
    if stays_so and _is_noted(site, recorded.project, other.id):
        return False
    now = seconds_of(text_of(_asked(site, "info"), "SystemTime"))
    started = seconds_of(other.started_at)
    return now is None or started is None or now - started < STARTS_WITHIN


def _asked(site: Site, method: str, *args: str) -> dict[str, Any]:
    """What Docker says; empty where it refuses, as of what has gone meanwhile."""
    try:
        with engine_calls(site.host):
            found = getattr(site.transport.docker(), method)(*args)
    except Refusal:
        return {}
    return found if isinstance(found, dict) else {}


def _is_noted(site: Site, project: str, container: str) -> bool:
    """Its host wrote down that it answered; see `answered`."""
    argv = ["grep", "-qsF", "-e", container, "--", f"{site.context.state_dir}/{project}/answered"]
    try:
        return site.transport.run(argv, timeout=RUN_TIMEOUT).exit_code == 0
    except HostError:
        return False
