"""Which images of a spec can be asked for their flags, and what those that were asked said. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployer import backends
from deployer.backends.base import Backend
from deployer.dataclass import dataclass, replace
from deployer.errors import SpecError
from deployer.planning.adapted import adapted
from deployer.planning.choice import base_backend
from deployer.planning.hosts import hosts_named
from deployer.planning.own_help import said_by
from deployer.planning.render import choose_image
from deployer.spec.language import Service
from deployer.spec.project import Project
from deployer.values.facts import HostFacts, ImageFlags, ObservedState


@dataclass(frozen=True, slots=True)
class AskableImage:
    """An image that a service may use, and the backend that tells how it is asked."""

    image: str
    service: str
    backend: Backend
    silent: str = ""  # why it is not asked for its flags, where it is not


def askable_images(project: Project, *, silent: bool = False) -> dict[str, tuple[AskableImage, ...]]:
    """By host, the images that its services may run there; `silent`: also those that do not name their flags."""
    found: dict[str, dict[str, AskableImage]] = {name: {} for name in project.spec.hosts}
    for name in sorted(project.spec.services):
        images = tuple(_of_service(project, name, silent=silent))
        for host in hosts_named(project.spec, project.spec.services[name].placement.hosts):
            for one in images:
                if one.image not in found[host] or not one.silent:
                    found[host][one.image] = one
    return {host: tuple(images.values()) for host, images in found.items()}


def _of_service(project: Project, name: str, *, silent: bool = False) -> Iterator[AskableImage]:
    """With GPUs and without. Where the spec names no backend, of all that may be chosen."""
    written = project.spec.services[name].backend
    built_in = backends.find(base_backend(project.spec, written)) if written is not None else None
    chosen = [(written or "", built_in)] if written is not None else [(b.name, b) for b in _chosen_by_itself()]
    for named, backend in chosen:
        service = project.with_backend(name, named) if backend is not None else None
        for with_gpus in (True, False):
            if backend is None or service is None:
                continue
            model = project.spec.models.get(service.each()[0].model or "")
            adapted_to = adapted(backend, project, named, model) if model is not None else backend
            try:
                image = choose_image(service, project.spec.backends.get(named), adapted_to, with_gpus)
            except SpecError:
                continue
            why = _why_silent(backend, service)
            if silent or not why:
                yield AskableImage(image, name, backend, why)


def _why_silent(backend: Backend, service: Service) -> str:
    if not backend.help:
        return f"`{backend.name}` has no command that names its settings"
    is_own = service.container.command is not None or service.container.entrypoint is not None
    return "its service runs a command of its own" if is_own else ""


def _chosen_by_itself() -> tuple[Backend, ...]:
    return tuple(backend for backend in backends.load_all() if backend.chosen_for)


def said_for(project: Project, service: str, facts: Iterable[HostFacts]) -> tuple[ImageFlags, ...]:
    """What all images said that the service may run on these hosts."""
    asked = [host for host in facts if host.image_flags]
    images = sorted({one.image for one in _of_service(project, service)}) if asked else ()
    known = (said_by(host, image) for host in asked for image in images)
    return tuple({one.image: one for one in known if one is not None}.values())


def with_own_flags(project: Project, observed: ObservedState) -> ObservedState:
    """Without what images said that no service of the project may run."""
    images = askable_images(project)
    hosts = dict(observed.hosts)
    for name, facts in observed.reachable.items():
        said = (said_by(facts, one.image) for one in images.get(name, ()))
        hosts[name] = replace(facts, image_flags=tuple(dict.fromkeys(one for one in said if one is not None)))
    return ObservedState(hosts)
