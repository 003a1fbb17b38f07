"""Runs a command of an image in a container of ours that is removed again; returns what it printed. Judges nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.payload import create_body
from deployer.engine.context import Site, failed
from deployer.engine.lifecycle import LIVE, remove
from deployer.engine.logs import LogRequest, lines_by_now
from deployer.engine.ownership import look, look_closely
from deployer.errors import DeployerError
from deployer.values.container import ContainerSpec
from deployer.values.names import (
    LABEL_APPLY,
    LABEL_DECISIONS,
    LABEL_ID,
    LABEL_MEMBER,
    LABEL_PROJECT,
    LABEL_REPLICA,
    LABEL_REVISION,
    LABEL_ROLE,
    LABEL_SECRETS,
    LABEL_SERVICE,
    LABEL_SPEC,
    REVISION_LENGTH,
    ReplicaKey,
    container_name,
)

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
    name, labels = _labels(run, site)
    _remove_leftover(site, name)
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
        _discard(site, id_)


def _labels(run: ShortRun, site: Site) -> tuple[str, dict[str, str]]:
    """The name and labels of a helper of ours; the revision stands for the image."""
    context, revision = site.context, run.image.removeprefix("sha256:")[:REVISION_LENGTH]
    key = ReplicaKey(run.service, 0)
    labels = {
        LABEL_PROJECT: context.project,
        LABEL_ID: context.id or "",
        LABEL_SERVICE: key.service,
        LABEL_REPLICA: str(key.index),
        LABEL_MEMBER: "0",
        LABEL_ROLE: "task",
        LABEL_REVISION: revision,
        LABEL_SPEC: "",
        LABEL_DECISIONS: "{}",
        LABEL_SECRETS: "{}",
        LABEL_APPLY: context.apply,
    }
    return container_name(context.project, key, revision), labels


def _remove_leftover(site: Site, name: str) -> None:
    """Of a run that died; whatever else has the name stays, and Docker refuses another."""
    left = look_closely(site, name)
    is_ours = left is not None and left.recorded is not None and left.recorded.role == "task"
    if left is not None and is_ours and left.status not in LIVE:
        remove(site, left)


def _await_end(site: Site, id_: str, run: ShortRun) -> None:
    deadline = time.monotonic() + run.patience
    while time.monotonic() < deadline:
        now = look(site, id_)
        if now is None or now.status in ("exited", "dead"):
            return
        site.watch.pause(LOOK_EVERY)
    raise failed(run.code, f"`{run.command}` is not done after {run.patience:g} s", None, (), site.host)


def _discard(site: Site, id_: str) -> None:
    try:
        with engine_calls(site.host):
            site.transport.docker().remove_container(id_, v=True, force=True)
    except (Refusal, DeployerError):
        pass  # the next run removes it
