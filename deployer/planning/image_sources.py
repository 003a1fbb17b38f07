"""Where the images of a spec come from: the hosts pull them, or the controller brings them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from deployer.errors import Diagnostic
from deployer.planning.desired import DesiredReplica
from deployer.planning.local_images import is_there
from deployer.spec.language import DeploySpec, Host
from deployer.spec.language.services import Image
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.image_content import ImageContent, ResolvedImage
from deployer.values.images import registry_of
from deployer.values.names import ReplicaKey
from deployer.values.resolved import Unresolved
from deployer.values.transfers import LoadImage, PullImage


def archives_of(spec: DeploySpec) -> dict[str, str]:
    """By the name of the image, the file that it is loaded from."""
    return {image.name: image.archive for image in _images(spec) if image.archive is not None}


def _images(spec: DeploySpec) -> Iterator[Image]:
    for service in spec.services.values():
        yield from (image for image in (service.image, *(o.image for o in service.overrides)) if image is not None)
    yield from (pin.image for pin in spec.backends.values() if pin.image is not None)


def is_brought(host: Host, known: ResolvedImage | Unresolved | None, archives: Mapping[str, str], image: str) -> bool:
    """By the controller: out of an archive, or to a host that reaches no registry."""
    return image in archives or host.fetch == "controller" or (isinstance(known, ResolvedImage) and bool(known.archive))


def bringing(
    image: str, host: Host, facts: HostFacts, known: ResolvedImage | Unresolved | None
) -> PullImage | LoadImage:
    """What gets an image there. Where nobody could say what it is made of it is pulled by its name."""
    content = known.on(facts.arch) if isinstance(known, ResolvedImage) else None
    if not isinstance(known, ResolvedImage) or content is None:
        ids = tuple(sorted(known.ids)) if isinstance(known, ResolvedImage) and known.pinned else ()
        return PullImage(image, registry_of(image), known.digest if isinstance(known, ResolvedImage) else None, ids)
    if known.archive or host.fetch == "controller":
        return LoadImage(image, content, known.digest, known.archive)
    return PullImage(image, registry_of(image), known.digest, tuple(sorted(known.ids)), content.size)


def bytes_missing(content: ImageContent, chains: Iterable[str]) -> int:
    return sum({blob.digest: blob.size for blob in content.missing(frozenset(chains))}.values())


def unknown_images(
    project: Project,
    desired: Mapping[ReplicaKey, DesiredReplica],
    images: Mapping[str, ResolvedImage | Unresolved],
) -> Iterator[Diagnostic]:
    """Images that the controller has to bring, and of which it could not say what they are; one error an image. One
    that nobody was asked about, as where no host is, is none."""
    archives, said = archives_of(project.spec), set()
    for key, replica in sorted(desired.items()):
        image, facts = replica.container.image, replica.placed.facts
        known, host = images.get(image), project.spec.hosts[replica.host]
        if (
            known is None
            or image in said
            or not is_brought(host, known, archives, image)
            or is_there(facts, image, known)
        ):
            continue
        problem = _problem(project, key, image, known, facts)
        if problem is not None:
            said.add(image)
            yield problem


def _problem(
    project: Project, key: ReplicaKey, image: str, known: ResolvedImage | Unresolved, facts: HostFacts
) -> Diagnostic | None:
    where = project.where("services", key.service, "image") or project.where("services", key.service)
    if isinstance(known, Unresolved):
        message = f"image `{image}` of service `{key.service}` cannot be brought to the hosts: {known.reason}"
        return Diagnostic("image-unresolved", message, where, hint=known.hint)
    if known.on(facts.arch) is None:
        has = ", ".join(sorted(known.platforms)) or "none that is known"
        message = f"image `{image}` of service `{key.service}` does not exist for {facts.arch}"
        hint = f"name an image for the processor of host `{facts.name}`"
        return Diagnostic("image-architecture", message, where, (f"it exists for {has}",), hint)
    return None
