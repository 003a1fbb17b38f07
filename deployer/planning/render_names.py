"""What `${...}` stands for in a placed service, and its settings with these in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from deployer.dataclass import replace
from deployer.errors import SpecError
from deployer.planning.render_mounts import model_target
from deployer.planning.render_request import RenderRequest
from deployer.spec.language import Options, Service
from deployer.spec.language.base import Section
from deployer.spec.language.container import ShippedFileOptions
from deployer.spec.substitution import substitute

S = TypeVar("S", bound=Section)
SUBSTITUTED = ("options", "args", "env", "container", "models")
READ_AT_LOAD = {(Options, "chat_template"), (ShippedFileOptions, "path")}


def placed_names(request: RenderRequest) -> dict[str, str]:
    """Every name a placed service may use; `port` is the host's."""
    host, facts = request.host, request.facts
    names = {
        "host.name": request.host_name,
        "host.address": host.address or request.host_name,
        "host.user": facts.user,
        "host.uid": str(facts.uid),
        "host.gid": str(facts.gid),
        "model.path": model_target(request.model),
        "port": "" if request.placed.port is None else str(request.placed.port),
        "project": request.project.spec.project,
        "replica.index": str(request.key.index),
        "gpu.uuids": ",".join(request.placed.gpus),
        "service.name": request.service_name,
    }
    return names | {f"host.vars.{name}": value for name, value in host.vars.items()}


def holds_names(value: Any) -> bool:
    """Whether a service, or a part of one, has a text in which names are to be put."""
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, Service):
        return any(holds_names(getattr(value, key)) for key in SUBSTITUTED)
    if isinstance(value, Section):
        return any(holds_names(getattr(value, key)) for key in value.model_fields_set)
    if isinstance(value, tuple | list):
        return any(map(holds_names, value))
    return isinstance(value, dict) and any(map(holds_names, value.values()))


def placed_service(request: RenderRequest) -> Service:
    """The service with the names of this replica put in."""
    try:
        return _placed_fields(request.service, SUBSTITUTED, placed_names(request))
    except SpecError as error:
        where = request.project.where("services", request.service_name)
        about = f"service `{request.service_name}` on host `{request.host_name}`"
        raise SpecError(
            replace(d, message=f"{d.message} ({about})", where=d.where or where) for d in error.diagnostics
        ) from error


def _placed_fields(section: S, keys: tuple[str, ...], names: Mapping[str, str]) -> S:
    kept = {key for kind, key in READ_AT_LOAD if isinstance(section, kind)}
    update = {}
    for key in (key for key in keys if key in section.model_fields_set):  # no default holds a name
        old = getattr(section, key)
        new = old if key in kept else _placed(old, names)
        if new is not old:
            update[key] = new
    return section.model_copy(update=update) if update else section


def _placed(value: Any, names: Mapping[str, str]) -> Any:
    """The value with its texts substituted; the very same object where there was nothing to do."""
    if isinstance(value, str):
        return substitute(value, names) if "${" in value else value
    if isinstance(value, Section):
        return _placed_fields(value, tuple(type(value).model_fields), names)
    if isinstance(value, tuple | list):
        items = [_placed(item, names) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
    if isinstance(value, dict):
        found = {key: _placed(item, names) for key, item in value.items()}
        return value if all(found[key] is item for key, item in value.items()) else found
    return value
