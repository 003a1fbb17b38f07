"""Lets an image fetch its model into its cache: its own program, in a container that is gone afterwards."""

from __future__ import annotations

from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.container_log import last_line, last_lines
from deployer.engine.containers import create_container
from deployer.engine.context import Site, failed
from deployer.engine.ownership import look
from deployer.errors import DeployerError
from deployer.values.facts import ObservedContainer
from deployer.values.operations import CreateContainer
from deployer.values.transfers import FillCache

LOOK_EVERY = 1.0  # seconds
SAY_EVERY = 10.0
LINES = 10


def fill_cache(operation: FillCache, site: Site) -> str:
    """OperationError `fill-failed` with what the program said last. What it fetched stays in the cache."""
    name = operation.name
    create_container(CreateContainer(name, operation.spec, operation.labels), site)
    try:
        try:
            with engine_calls(site.host):
                site.transport.docker().start(name)
        except Refusal as refusal:
            raise site.refused(refusal, "start", name, operation.spec.image) from None
        ended = _await_end(operation, site)
        if ended.exit_code != 0:
            command = " ".join(operation.spec.command)
            message = f"`{command}` of {operation.spec.image} exited with {ended.exit_code}"
            hint = "see what it says: a wrong key or profile, or no way to the catalogue"
            raise failed("fill-failed", message, hint, last_lines(site, name, LINES), site.host)
    finally:
        _discard(site, name)
    return ""


def _await_end(operation: FillCache, site: Site) -> ObservedContainer:
    clock, said = site.context.clock, 0.0
    began = clock()
    while (now := clock() - began) < operation.timeout:
        state = look(site, operation.name)
        if state is None:
            raise failed("container-missing", f"container `{operation.name}` is no longer there", "apply again")
        if state.status in ("exited", "dead"):
            return state
        if now >= said:
            site.watch.waiting(now, operation.timeout, last_line(site, operation.name)[1])
            said = now + SAY_EVERY
        site.watch.pause(LOOK_EVERY)
    message = f"the image's own fetch of its model is not done after {operation.timeout:g} s"
    hint = "apply again: it goes on with what is in its cache; or raise `health.ready_timeout`"
    raise failed("fill-failed", message, hint, last_lines(site, operation.name, LINES), site.host)


def _discard(site: Site, name: str) -> None:
    try:
        with engine_calls(site.host):
            site.transport.docker().remove_container(name, v=True, force=True)
    except (Refusal, DeployerError):
        pass  # the next one removes it
