"""What a replica needs on its host before anything is stopped for it: image, weights and directories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from deployer.errors import Diagnostic, Severity
from deployer.formats.text import one_line
from deployer.planning.cached import bytes_missing, cache_of, is_whole
from deployer.planning.desired import DesiredReplica
from deployer.planning.image_sources import bringing
from deployer.planning.image_sources import bytes_missing as layers_missing
from deployer.planning.local_images import is_there
from deployer.planning.steplist import StepList
from deployer.planning.weights import code_of
from deployer.spec.project import Project
from deployer.values.image_content import ResolvedImage
from deployer.values.plan import FetchWeights, MakeDirectory, PullImage, Step

Layers = Mapping[str, tuple[str, ...]]  # by host, the chains of layers that its Docker has


def image_steps(project: Project, steps: StepList, new: DesiredReplica, layers: Layers) -> tuple[str, ...]:
    """What brings the image, shared by all replicas of the host; nothing where it is there."""
    image, facts = new.container.image, new.placed.facts
    id_ = f"{new.host}/pull/{image}"
    if id_ in steps.steps:
        return (id_,)
    if is_there(facts, image, new.image):
        return ()
    operation = bringing(image, project.spec.hosts[new.host], facts, new.image)
    content = new.image.on(facts.arch) if isinstance(new.image, ResolvedImage) else None
    missing = layers_missing(content, layers.get(new.host, ())) if content is not None else None
    if isinstance(operation, PullImage):
        operation = replace(operation, size=missing)
    why = f"replica `{new.key}` runs it"
    return (steps.add(Step(id_, new.host, operation, why=why, bytes=missing)),)


def weight_steps(project: Project, steps: StepList, new: DesiredReplica) -> tuple[str, ...]:
    """The fetch of each model that the host does not have whole, shared by all replicas of the host."""
    placed, host = new.placed, project.spec.hosts[new.host]
    found = []
    for model in (placed.model, *placed.others, placed.draft):
        cached = model.cached if model is not None else None
        manifest = cached.files if cached is not None else None
        if cached is None or manifest is None:
            continue
        id_ = f"{new.host}/weights/{cached.manifest}"
        if id_ not in steps.steps and is_whole(manifest, host, placed.facts):
            continue
        if id_ not in steps.steps:
            missing = bytes_missing(manifest, host, placed.facts)
            by = "controller" if manifest.source.startswith("local://") else host.fetch
            operation = FetchWeights(cache_of(host), manifest, by)
            steps.add(Step(id_, new.host, operation, why=f"replica `{new.key}` serves it", bytes=missing))
        found.append(id_)
    return tuple(found)


def code_warnings(steps: Iterable[Step]) -> Iterator[Diagnostic]:
    """Programs that come with a model, by name: nobody has read them."""
    fetched = {s.operation.manifest.id: s.operation.manifest for s in steps if isinstance(s.operation, FetchWeights)}
    for manifest in fetched.values():
        if found := code_of(manifest):
            message = f"{manifest.source} brings programs, which `trust_remote_code` would run"
            hint = 'read them, or leave them out with `exclude: ["*.py"]`'
            names = tuple(one_line(name, 100) for name in found[:10])
            yield Diagnostic("model-has-code", message, None, names, hint, Severity.WARNING)


def directory_steps(steps: StepList, new: DesiredReplica) -> tuple[str, ...]:
    paths = [mount.source for mount in new.container.mounts if mount.create]
    return tuple(
        steps.shared(f"{new.host}/directory/{path}", new.host, MakeDirectory(path), "a cache of its own")
        for path in paths
    )
