"""What a replica needs on its host before anything is stopped for it: image, weights and directories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from deployer.dataclass import replace
from deployer.errors import Diagnostic, Severity
from deployer.formats.text import one_line
from deployer.planning.cached import bytes_missing, cache_of, is_whole
from deployer.planning.desired import DesiredReplica
from deployer.planning.image_sources import bringing
from deployer.planning.image_sources import bytes_missing as layers_missing
from deployer.planning.local_images import is_there
from deployer.planning.render_request import Cached
from deployer.planning.steplist import StepList
from deployer.planning.weights import code_of
from deployer.spec.project import Project
from deployer.values.canonical import digest
from deployer.values.image_content import ResolvedImage
from deployer.values.plan import Step
from deployer.values.transfers import CheckCopy, FetchWeights, MakeDirectory, PullImage

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
    found: list[str] = []
    for model in (placed.model, *placed.others, placed.draft):
        cached = model.cached if model is not None else None
        manifest = cached.files if cached is not None else None
        if cached is None or manifest is None:
            continue
        if cached.in_place:
            found += copy_steps(steps, new, cached, cache_of(host))
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


def copy_steps(steps: StepList, new: DesiredReplica, cached: Cached, cache_dir: str) -> tuple[str, ...]:
    """The reading of a copy that serves in place; nothing where it was read before."""
    if cached.files is None or not cached.unread:
        return ()
    id_ = f"{new.host}/copy/{digest([cached.in_place, cached.manifest])[:16]}"
    if id_ not in steps.steps:
        operation = CheckCopy(cached.root, cached.in_place, cached.files, cache_dir)
        count = sum(file.size for file in cached.files.files if file.path in cached.unread)
        steps.add(Step(id_, new.host, operation, why=f"replica `{new.key}` serves it in place", bytes=count))
    return (id_,)


def code_warnings(steps: Iterable[Step]) -> Iterator[Diagnostic]:
    """Programs that come with a model, by name: nobody has read them."""
    operations = (s.operation for s in steps)
    fetched = {o.manifest.id: o.manifest for o in operations if isinstance(o, FetchWeights | CheckCopy)}
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
