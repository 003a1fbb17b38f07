"""Task containers, which are there for a moment: their labels, what one that died left, and their end."""

from __future__ import annotations

from contextlib import suppress

from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.context import Site
from deployer.engine.lifecycle import LIVE, await_gone, is_going, remove
from deployer.engine.ownership import look_closely
from deployer.errors import DeployerError
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


def task_labels(site: Site, key: ReplicaKey, stands_for: str) -> tuple[str, dict[str, str]]:
    """The name and labels of a task container; the revision is the beginning of the digest that it is about."""
    context, revision = site.context, stands_for.removeprefix("sha256:")[:REVISION_LENGTH]
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


def remove_leftover(site: Site, name: str) -> None:
    """Of a run that died; whatever else has the name stays, and Docker refuses another."""
    left = look_closely(site, name)
    is_ours = left is not None and left.recorded is not None and left.recorded.role == "task"
    if left is not None and is_ours and left.status not in LIVE:
        remove(site, left)


def discard(site: Site, id_: str) -> None:
    """It is gone then, most of the time; what is not, the next run removes."""
    with suppress(Refusal, DeployerError):
        try:
            with engine_calls(site.host):
                site.transport.docker().remove_container(id_, v=True, force=True)
        except Refusal as refusal:
            if is_going(refusal):  # Docker removes by itself what ended by itself
                await_gone(site, id_, id_[:12])
