"""Models that an image fetches by itself, fetched ahead of anything that is stopped for them. Pure."""

from __future__ import annotations

import re

from deployer.backends.versions import has_flag, parse_version
from deployer.dataclass import replace
from deployer.planning.desired import DesiredReplica, labels_of
from deployer.planning.image_tags import version_of
from deployer.planning.steplist import StepList
from deployer.spec.project import Project
from deployer.values.canonical import digest
from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec, Healthcheck
from deployer.values.names import (
    LABEL_DECISIONS,
    LABEL_REVISION,
    LABEL_ROLE,
    LABEL_SPEC,
    REVISION_LENGTH,
    container_name,
)
from deployer.values.plan import Step
from deployer.values.transfers import FillCache

PROFILE = "NIM_MODEL_PROFILE"
PROFILE_ID = re.compile(r"[0-9a-f]{64}\Z")


def fill_steps(project: Project, steps: StepList, new: DesiredReplica, needs: tuple[str, ...]) -> tuple[str, ...]:
    """Shared by the replicas of a service on a host, which share the cache."""
    spec = _filling(new)
    if spec is None:
        return ()
    revision = digest(to_data(spec))[:REVISION_LENGTH]
    id_ = f"{new.host}/fill/{new.key.service}/{revision}"
    if id_ not in steps.steps:
        about = {LABEL_ROLE: "task", LABEL_REVISION: revision, LABEL_SPEC: "", LABEL_DECISIONS: "{}"}
        timeout = new.choice.service.health.ready_timeout or new.choice.backend.ready_timeout
        name = container_name(project.spec.project, new.key, revision)
        operation = FillCache(name, spec, {**labels_of(project, new), **about}, timeout)
        steps.add(Step(id_, new.host, operation, needs=needs, why=f"replica `{new.key}` serves it"))
    return (id_,)


def _filling(new: DesiredReplica) -> ContainerSpec | None:
    """None unless the image fetches its model, is given what it needs for that, and its profile is known by id: then
    it needs no GPU."""
    backend, container = new.choice.backend, new.container
    profile = container.env.get(PROFILE)
    if not backend.prefetch or not isinstance(profile, str) or PROFILE_ID.match(profile) is None:
        return None
    version = version_of(new.choice.service, container.image, backend)
    if parse_version(version) is None or not has_flag(backend, backend.prefetch[0], version):
        return None
    if new.placed.model.kind != "name" or not all(name in container.env for name in backend.wants_env):
        return None
    command = (*backend.prefetch, profile)
    alone = replace(container, entrypoint=None, ports=(), gpus=(), restart="no", files={})
    return replace(alone, command=command, healthcheck=Healthcheck())
