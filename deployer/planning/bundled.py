"""What a bundle has to hold for a plan, and what a plan needs that a bundle does not hold. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic
from deployer.formats.text import one_line
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.bundle import Bundle
from deployer.values.facts import HostFacts, ObservedState
from deployer.values.plan import Plan
from deployer.values.transfers import FetchWeights, LoadImage, PullImage
from deployer.values.weights import Manifest, WeightFile, blobs_of

Layers = Mapping[str, tuple[str, ...]]  # by host, the chains of layers that its Docker has


@dataclass(frozen=True, slots=True)
class Wanted:
    """`there`: blobs of each manifest, by its id, that all hosts have which are to get it. `images`: by reference the
    kinds of processor they are for."""

    models: tuple[Manifest, ...]
    there: dict[str, frozenset[str]]
    images: dict[str, frozenset[str]]


def wanted(plan: Plan, observed: ObservedState) -> Wanted:
    models: dict[str, Manifest] = {}
    there: dict[str, frozenset[str]] = {}
    images: dict[str, frozenset[str]] = {}
    for step in plan.steps:
        facts = observed.reachable[step.host]
        match step.operation:
            case FetchWeights(cache_dir=cache, manifest=manifest):
                models[manifest.id] = manifest
                whole = frozenset(f.blob for f in manifest.files if _is_there(f, manifest, cache, facts))
                there[manifest.id] = there.get(manifest.id, whole) & whole
            case PullImage(image=image) | LoadImage(image=image):
                images[image] = images.get(image, frozenset()) | {facts.arch}
            case _:
                pass
    return Wanted(tuple(models[id_] for id_ in sorted(models)), there, images)


def _is_there(file: WeightFile, manifest: Manifest, cache: str, facts: HostFacts) -> bool:
    blobs = facts.folders.get(posixpath.join(cache, blobs_of(manifest.folder)), {})
    return blobs.get(file.blob, (-1, 0))[0] == file.size


def brought(project: Project) -> Project:
    """The same with every host given its weights by the controller, which has the bundle."""
    hosts = {name: host.model_copy(update={"fetch": "controller"}) for name, host in project.spec.hosts.items()}
    spec: DeploySpec = project.spec.model_copy(update={"hosts": hosts})
    return replace(project, spec=spec)


@dataclass(frozen=True, slots=True)
class AtHand:
    """A bundle in use; `has`: a content of it, or of one that was loaded before, by SHA-256."""

    bundle: Bundle
    has: Callable[[str], bool]


def lacking(plan: Plan, observed: ObservedState, layers: Layers, used: AtHand) -> Iterator[Diagnostic]:
    """Files of models and parts of images that a host has to get and that are nowhere here, host by host."""
    for step in plan.steps:
        match step.operation:
            case FetchWeights(cache_dir=cache, manifest=manifest):
                facts = observed.reachable[step.host]
                files = [f for f in manifest.files if not f.url and not _is_there(f, manifest, cache, facts)]
                what, missing = manifest.source, {one_line(f.path, 100): str(f.sha256) for f in files}
            case LoadImage(image=what, content=content):
                needed = (content.config, *content.missing(frozenset(layers.get(step.host, ()))))
                missing = {blob.digest: blob.hex for blob in needed if not used.has(blob.hex)}
            case _:
                continue
        if missing:
            yield _lack(step.host, what, missing, used.bundle)


def _lack(host: str, what: str, missing: Mapping[str, str], bundle: Bundle) -> Diagnostic:
    """`missing`: by what people call it, the SHA-256 of each."""
    parts = f"{len(missing)} part" + ("s" if len(missing) > 1 else "")
    message = f"bundle {bundle.sequence} lacks {parts} of `{what}` that host `{host}` needs"
    hint = "make one with `bundle create --facts`, of facts recorded on the hosts now"
    if bundle.parent is not None and {content.sha256 for content in bundle.elsewhere} & {*missing.values()}:
        hint = f"load bundle {bundle.parent.sequence} first, with `deployer bundle load`: this one was made since it"
    return Diagnostic("bundle-lacks", message, evidence=tuple(missing)[:10], hint=hint, host=host)
