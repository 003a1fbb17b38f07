"""Starts, stops, renames, updates and removes containers of ours: each can be done twice."""

from __future__ import annotations

import math
import time
from typing import Any

from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.failures import taken_port
from deployer.engine.answered import note_answered, take_back
from deployer.engine.context import Site, failed
from deployer.engine.exclusive import lost_race, refuse_taken_gpus, start_alone
from deployer.engine.ownership import find, look
from deployer.engine.port_owner import port_owner
from deployer.errors import Diagnostic, OperationError
from deployer.values.facts import ObservedContainer
from deployer.values.operations import RemoveContainer, RenameContainer, StartContainer, StopContainer, UpdateContainer

LIVE = ("running", "paused", "restarting")
STUCK_GRACE = 10.0  # seconds for one that serves nobody to end by itself
GONE_WITHIN = 15.0  # seconds that a removal somebody else began may take


def start_container(operation: StartContainer, site: Site) -> str:
    state = _present(site, operation.name, operation.id)
    if state.status != "running" and not operation.returns:
        refuse_taken_gpus(site, state, operation.beside)
    full = None
    if state.restart_policy != operation.restart:
        full = _restart_policy_unless_full(site, state, operation.restart)
    if full is not None and operation.restart == "no":
        raise full
    is_stuck = state.status == "running" and state.started_at == operation.stuck
    if is_stuck:
        stop(site, state, STUCK_GRACE)
    if is_stuck or state.status != "running":
        _start(site, state, operation)
    if full is not None:
        raise full
    return "ran already" if state.status == "running" and not is_stuck else ""


def _start(site: Site, state: ObservedContainer, operation: StartContainer) -> None:
    if state.status == "restarting":
        stop(site, state, 0.0)
    site.context.started[site.host, state.name] = site.context.clock()
    try:
        if state.status == "paused":
            call(site, state, "unpause", state.id)
        elif operation.returns:
            call(site, state, "start", state.id)
        else:
            start_alone(site, state, operation.beside, lambda at: call(at, state, "start", state.id))
    except OperationError as error:
        raise _with_port_owner(site, error) from None
    if not operation.returns and (lost := lost_race(site, state, operation.beside)) is not None:
        restart_policy(site, state, "no")
        stop(site, state, 0.0)
        raise lost


def stop_container(operation: StopContainer, site: Site) -> str:
    state = find(site, operation.name, operation.id)
    if state is None:
        return "was gone already"
    _must_be_known(site, state, operation.id)
    take_back(site, state)
    if state.restart_policy != "no":  # first, or the daemon brings it back
        restart_policy(site, state, "no")
    if state.status not in LIVE:
        return "was stopped already"
    stop(site, state, operation.grace)
    return ""


def remove_container(operation: RemoveContainer, site: Site) -> str:
    state = find(site, operation.name, operation.id)
    if state is None:
        return "was gone already"
    _must_be_known(site, state, operation.id)
    take_back(site, state)
    if state.status in LIVE:
        if state.restart_policy != "no":
            _restart_policy_unless_full(site, state, "no")
        stop(site, state, operation.grace)
    remove(site, state)
    return ""


def update_container(operation: UpdateContainer, site: Site) -> str:
    """Only what has answered gets its restart policy; the host notes that it did."""
    state = _present(site, operation.name, operation.id)
    note_answered(site, state, site.context.seconds_since_start(site.host, state.name))
    if state.restart_policy == operation.restart:
        return "was so already"
    restart_policy(site, state, operation.restart)
    return ""


def rename_container(operation: RenameContainer, site: Site) -> str:
    state = find(site, operation.name, operation.id) or find(site, operation.to, operation.id)
    if state is None:
        raise _missing(site, operation.name)
    if state.name == operation.to:
        return "was so already"
    call(site, state, "rename", state.id, operation.to)
    return ""


def remove(site: Site, state: ObservedContainer) -> None:
    """Removes a container that does not run; its named volumes stay."""
    try:
        with engine_calls(site.host):
            site.changing().remove_container(state.id, v=False, force=False)
    except Refusal as refusal:
        if refusal.status != 404 and not is_going(refusal):
            raise site.refused(refusal, "remove", state.name) from None
    await_gone(site, state.id, state.name)


def is_going(refusal: Refusal) -> bool:
    """Somebody else removes it, or Docker itself, and that goes on."""
    return "already in progress" in refusal.text


def await_gone(site: Site, id_: str, name: str) -> None:
    deadline = time.monotonic() + GONE_WITHIN
    while look(site, id_) is not None:
        if time.monotonic() > deadline:
            raise failed("not-removed", f"Docker has not removed container `{name}`", "apply again")
        time.sleep(0.2)


# --- single calls -------------------------------------------------------------------


def _present(site: Site, name: str, id: str | None) -> ObservedContainer:
    state = find(site, name, id)
    if state is None:
        raise _missing(site, name)
    return state


def _must_be_known(site: Site, state: ObservedContainer, id: str | None) -> None:
    """Without an id from the plan, only what this apply made may be stopped or removed."""
    if id is None and (state.recorded is None or state.recorded.apply != site.context.apply):
        what = f"container `{state.name}` was not made by this apply; it is left alone"
        raise failed("not-of-this-apply", what, "plan again", host=site.host)


def restart_policy(site: Site, state: ObservedContainer, policy: str, retries: int = 0) -> None:
    call(site, state, "update_container", state.id, restart_policy={"Name": policy, "MaximumRetryCount": retries})


def _restart_policy_unless_full(site: Site, state: ObservedContainer, policy: str) -> OperationError | None:
    """On a full disk Docker can write no policy down; it starts all the same what is to come back, and removes what
    takes the space."""
    try:
        restart_policy(site, state, policy)
    except OperationError as error:
        if error.diagnostic.code != "disk-full":
            raise
        return error
    return None


def stop(site: Site, state: ObservedContainer, grace: float) -> None:
    call(site, state, "stop", state.id, timeout=math.ceil(grace))


def call(site: Site, state: ObservedContainer, method: str, *args: Any, **kwargs: Any) -> None:
    verb = {"update_container": "update"}.get(method, method)
    try:
        with engine_calls(site.host):
            getattr(site.changing(), method)(*args, **kwargs)
    except Refusal as refusal:
        raise site.refused(refusal, verb, state.name) from None


def _missing(site: Site, name: str) -> OperationError:
    return failed("container-missing", f"container `{name}` is not on the host", "plan again", host=site.host)


def _with_port_owner(site: Site, error: OperationError) -> OperationError:
    port = taken_port(error.diagnostic)
    owner = port_owner(site, port) if port is not None else None
    if owner is None:
        return error
    old = error.diagnostic
    return OperationError(Diagnostic(old.code, f"{old.message} by {owner}", evidence=old.evidence, hint=old.hint))
