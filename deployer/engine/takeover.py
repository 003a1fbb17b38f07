"""Hand-made containers that a service takes over from: the one stated exception to "never touched".

Acts only on the container seen at plan time, by its id, and only while it carries the name the spec gives.
"""

from __future__ import annotations

from deployer.engine.context import Site, failed
from deployer.engine.lifecycle import LIVE, call, restart_policy, stop
from deployer.engine.ownership import look, moved
from deployer.values.facts import ObservedContainer
from deployer.values.operations import GiveBack, TakeOver

GRACE = 30.0  # seconds; its own stop timeout is not ours to know


def take_over(operation: TakeOver, site: Site) -> str:
    state = _named(operation, site)
    if state is None:
        return "was gone already"
    if state.auto_remove:
        what = f"container `{operation.name}` would be gone once it is stopped: it was started with `--rm`"
        raise failed("cannot-be-kept", what, "start it without `--rm`", host=site.host)
    if state.restart_policy != "no":  # first, or the daemon brings it back
        restart_policy(site, state, "no")
    if state.status not in LIVE:
        return "was stopped already"
    stop(site, state, GRACE)
    return ""


def give_back(operation: GiveBack, site: Site) -> str:
    state = _named(operation, site)
    if state is None:
        what = f"hand-made container `{operation.name}` is gone and cannot be started again"
        raise failed("container-missing", what, "start its successor by hand", host=site.host)
    if state.restart_policy != operation.restart:
        restart_policy(site, state, operation.restart, operation.retries)
    if state.status in LIVE or not operation.ran:
        return "was so already" if state.status in LIVE else ""
    call(site, state, "start", state.id)
    return ""


def _named(operation: TakeOver | GiveBack, site: Site) -> ObservedContainer | None:
    state = look(site, operation.id)
    if state is not None and state.name != operation.name:
        raise moved(site, operation.name, state)
    return state
