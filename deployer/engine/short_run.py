"""Runs a command of an image in a container of ours that is removed again; returns what it printed. Judges nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.payload import create_body
from deployer.engine.context import Site, failed
from deployer.engine.logs import LogRequest, lines_by_now
from deployer.engine.ownership import look
from deployer.engine.task import discard, remove_leftover, task_labels
from deployer.values.container import ContainerSpec
from deployer.values.names import ReplicaKey

BUSY = "see what the host is busy with, then run it again"
LOOK_EVERY = 0.5
LOG_LINES, LOG_TIMEOUT = 20_000, 20.0


@dataclass(frozen=True, slots=True)
class ShortRun:
    """`spec`: the container; `image`: the id it is created from; `service`: one that uses it; `env`: revealed.
    `code`: of the error where it is not done after `patience` seconds."""

    spec: ContainerSpec
    image: str
    service: str
    env: Mapping[str, str]
    patience: float
    code: str

    @property
    def command(self) -> str:
        return " ".join((*(self.spec.entrypoint or ()), *self.spec.command))


def run_shortly(run: ShortRun, site: Site) -> tuple[str, ...]:
    """The lines that it printed, whatever it exited with. OperationError where Docker refuses, or it does not end."""
    name, labels = task_labels(site, ReplicaKey(run.service, 0), run.image)
    remove_leftover(site, name)
    body = create_body(run.spec, labels, run.image, run.env)
    docker = site.transport.docker()
    try:
        with engine_calls(site.host):
            id_ = str(docker.create_container_from_config(body, name=name)["Id"])
    except Refusal as refusal:
        raise site.refused(refusal, "create", name, run.spec.image) from None
    try:
        with engine_calls(site.host):
            docker.start(id_)
        _await_end(site, id_, run)
        return lines_by_now(site.transport, LogRequest(id_, tail=LOG_LINES), site.context.redactor, LOG_TIMEOUT)
    except Refusal as refusal:
        raise site.refused(refusal, "start", name, run.spec.image) from None
    finally:
        discard(site, id_)


def _await_end(site: Site, id_: str, run: ShortRun) -> None:
    deadline = time.monotonic() + run.patience
    while time.monotonic() < deadline:
        now = look(site, id_)
        if now is None or now.status in ("exited", "dead"):
            return
        site.watch.pause(LOOK_EVERY)
    raise failed(run.code, f"`{run.command}` is not done after {run.patience:g} s", BUSY, (), site.host)
