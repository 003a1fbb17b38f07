"""What was decided automatically for a replica, and from what: so that a later plan keeps it, and tells an edit from a
newer default. Decides nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from deployer.dataclass import replace
from deployer.errors import Diagnostic, SpecError
from deployer.planning.cached import recorded_cached
from deployer.planning.choice import ServiceChoice, model_inputs
from deployer.planning.gpus import gpus_asked
from deployer.planning.hosts import HostIndex
from deployer.planning.render import choose_image
from deployer.planning.replicas import Found
from deployer.spec.project import Project
from deployer.values.canonical import digest
from deployer.values.images import parse_image
from deployer.values.names import GPU_SHARE

if TYPE_CHECKING:
    from deployer.planning.placed import Placed

ABOUT_THE_ROLLOUT = ("replicas", "state", "protect", "api", "health", "rollout", "restart_backoff", "replaces")


def image_of(project: Project, placed: Placed, here: Found | None) -> tuple[str, str]:
    """The image and why; one that was decided automatically stays while its inputs stand. SpecError where there is
    none."""
    choice = placed.choice
    try:
        image = choose_image(choice.service, choice.pin, choice.backend, bool(placed.gpus))
    except SpecError as error:
        where = project.where("services", choice.name, "backend")
        named = (replace(d, message=f"{d.message} (service `{choice.name}`)", where=where) for d in error.diagnostics)
        raise SpecError(named) from error
    pinned = choice.service.image or choice.service.version or (choice.pin and (choice.pin.image or choice.pin.version))
    if pinned:
        return image, "spec"
    inputs = _image_inputs(placed)
    if here is not None and here.recorded.decisions.get("image_inputs") == inputs:
        decided = here.recorded.decisions.get("image")
        if isinstance(decided, str) and _why_no_image(decided) is None:
            return decided, inputs
    return image, inputs


def _why_no_image(text: str) -> str | None:
    try:
        parse_image(text)
    except ValueError as error:
        return str(error)
    return None


def check_image(project: Project, choice: ServiceChoice, image: str) -> None:
    why = _why_no_image(image)
    if why is not None:
        key = "image" if choice.service.image is not None else "version"
        where = project.where("services", choice.name, key)
        hint = f"correct `{key}` of the service or of its backend"
        raise SpecError(Diagnostic("bad-image", f"{why} (service `{choice.name}`)", where, hint=hint))


def _image_inputs(placed: Placed) -> str:
    return f"{placed.choice.backend.name} {'gpu' if placed.gpus else 'cpu'}"


class Written:
    """What people wrote: as digests, each made once, and which hosts they meant."""

    def __init__(self, project: Project, index: HostIndex) -> None:
        self.project, self.index = project, index
        self._services: dict[str, str] = {}
        self._hosts: dict[str, str] = {}

    def service(self, name: str) -> str:
        if name not in self._services:
            self._services[name] = _inputs(self.project, name)
        return self._services[name]

    def host(self, name: str) -> str:
        if name not in self._hosts:
            self._hosts[name] = _host_inputs(self.project, name)
        return self._hosts[name]


def decisions_of(written: Written, placed: Placed, image: str, why_image: str) -> dict[str, Any]:
    """What a later plan needs to keep today's decisions, and to tell an edit from a new default."""
    choice = placed.choice
    decisions: dict[str, Any] = {
        "inputs": written.service(choice.name),
        "host_inputs": written.host(placed.host),
        "backend": choice.backend_name,
        "category": choice.category,
        "model": model_inputs(choice.model),
        "image": image,
        "image_inputs": why_image,
        "port": placed.port,
        "port_asked": choice.service.port.number,
        "gpus": list(placed.gpus),
        "gpus_asked": gpus_asked(choice, placed.key.index),
        "weights": _weights(placed),
    }
    cached = recorded_cached(m for m in (placed.model, *placed.others, placed.draft) if m is not None)
    if cached:
        decisions["cached"] = cached
    if placed.share is not None:
        decisions[GPU_SHARE] = placed.share
    if choice.others:
        decisions["other_categories"] = [category for _, category in choice.others]
    if choice.service.protect:
        decisions["protect"] = True
    return decisions


def _inputs(project: Project, name: str) -> str:
    """What people wrote about a service, without what makes no other container: a service that is scaled is no reason
    to restart what runs."""
    written = project.written.get(name)
    if not isinstance(written, Mapping) or not isinstance(written.get("service"), Mapping):
        return digest(written)
    service = {key: value for key, value in written["service"].items() if key not in ABOUT_THE_ROLLOUT}
    return digest({**written, "service": service})


def _weights(placed: Placed) -> str:
    """Which files serve, of those that the spec's path means on this host."""
    models = (m for m in (placed.model, *placed.others, placed.draft) if m is not None)
    return _files(tuple((m.path, *m.parts) for m in models))


@lru_cache(maxsize=1024)
def _files(paths: tuple[tuple[str, ...], ...]) -> str:
    return digest(paths)


def _host_inputs(project: Project, name: str) -> str:
    """What people wrote about a host, as far as it can change where a replica is or what it is made of."""
    host = project.spec.hosts[name]
    return digest([host.vars, host.labels, host.address, host.cache_dir, host.gpus.model_dump(mode="json")])


def edits_since(written: Written, choice: ServiceChoice, here: Found) -> tuple[str, ...]:
    edits = []
    if here.recorded.decisions.get("inputs") != written.service(choice.name):
        edits.append("the spec was edited")
    if here.host not in written.index.members(choice.service.placement.hosts):
        edits.append(f"host `{here.host}` is not selected any more")
    elif here.recorded.decisions.get("host_inputs") != written.host(here.host):
        edits.append(f"host `{here.host}` was edited")
    return tuple(edits)
