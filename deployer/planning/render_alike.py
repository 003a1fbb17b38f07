"""Replicas that differ in nothing but their GPUs and port are rendered once, and each is given its own. Pure."""

from __future__ import annotations

from typing import Any

from deployer.dataclass import dataclass, replace
from deployer.planning.own_help import said_by
from deployer.planning.render import render_container, template_of
from deployer.planning.render_context import gpu_memory
from deployer.planning.render_names import holds_names
from deployer.planning.render_request import Placed, RenderRequest
from deployer.planning.render_template import names_read_by
from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec

OF_ONE_REPLICA = frozenset({"host", "replica", "gpus"})  # in a template's context


@dataclass(frozen=True, slots=True)
class Rendered:
    """A container, and its JSON data."""

    container: ContainerSpec
    data: dict[str, Any]


class Renderer:
    """Renders the replicas of one project; its results are those of `render_container`."""

    def __init__(self) -> None:
        self._rendered: dict[object, Rendered] = {}
        self._is_own: dict[object, bool] = {}

    def rendered(self, request: RenderRequest) -> Rendered:
        """SpecError for what only rendering can see."""
        service = (request.service_name, request.backend_name, request.overrides)
        if service not in self._is_own:
            self._is_own[service] = _is_own(request)
        if self._is_own[service] or not all(map(_is_plain, request.placed.gpus)):
            return _rendered(request)
        key = (*service, *_likeness(request))
        if key not in self._rendered:
            self._rendered[key] = _rendered(request)
        return _placed(self._rendered[key], request.placed)


def _is_own(request: RenderRequest) -> bool:
    """Whether the containers of a service may differ in more than what `_likeness` tells, GPUs and port."""
    service = request.service
    on_host = service.container.network == "host"  # the server itself listens on the port
    return on_host or holds_names(service) or bool(OF_ONE_REPLICA & names_read_by(*template_of(request)))


def _likeness(request: RenderRequest) -> tuple[object, ...]:
    """All that a container is made from, but for the service itself and what one replica has for its own."""
    weights = (request.model, request.draft, request.others)
    place = (request.host.cache_dir, len(request.placed.gpus), request.placed.port is None, request.placed.cache)
    said = said_by(request.facts, request.image)
    return (
        request.image,
        said,
        request.profile,
        request.category,
        weights,
        place,
        gpu_memory(request, request.service),
    )


def _rendered(request: RenderRequest) -> Rendered:
    container = render_container(request)
    return Rendered(container, to_data(container))


def _placed(one: Rendered, placed: Placed) -> Rendered:
    changes: dict[str, Any] = {"gpus": placed.gpus}
    if placed.port is not None:
        changes["ports"] = tuple(replace(p, host=placed.port) for p in one.container.ports)
    data = {name: to_data(value) for name, value in changes.items() if name in one.data}
    return Rendered(replace(one.container, **changes), {**one.data, **data})


def _is_plain(gpu: str) -> bool:
    """Nothing that a rendered container is checked for."""
    return gpu.isascii() and gpu.isprintable()
