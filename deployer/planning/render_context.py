"""Everything a template sees of a placed replica."""

from __future__ import annotations

from typing import Any, NoReturn

from deployer.backends.base import Backend
from deployer.backends.versions import has_flag
from deployer.errors import Diagnostic, SpecError
from deployer.planning.args_read import sizes_said
from deployer.planning.image_tags import version_of
from deployer.planning.nim_decision import written_profile
from deployer.planning.own_help import said_by
from deployer.planning.render_mounts import lora_target, model_target
from deployer.planning.render_options import option_args, template_options
from deployer.planning.render_request import RenderRequest
from deployer.planning.render_served import model_context, served_here
from deployer.planning.served import served_names
from deployer.spec.language import Options, Service
from deployer.spec.language.options import OPTION_NAMES

CHAT_TEMPLATE = "/etc/deployer/chat-template.jinja"


def template_context(request: RenderRequest, service: Service) -> dict[str, Any]:
    """The names a template may use: data; `flag(NAME)`, which says whether the backend's version has it; and
    `refuse(KEY, WHY)`, which ends it with an error."""
    backend, options = request.backend, service.options
    version, said = version_of(service, request.image, backend), said_by(request.facts, request.image)
    models = [model_context(request, model) for model in served_here(request, service)]

    def flag(name: str) -> bool:
        return said.has(name) if said is not None else has_flag(backend, name, version)

    return {
        "project": request.project.spec.project,
        "service": request.service_name,
        "replica": request.key.index,
        "host": _host_context(request),
        "image": request.image,
        "profile": written_profile(service) or request.profile,
        "model": models[0],
        "models": models,
        "names": list(served_names(service)),
        "listen": {"address": _listen_address(service), "port": listen_port(request, service)},
        "category": request.category,
        "gpus": list(request.placed.gpus),
        "gpu_memory": gpu_memory(request, service),
        "cache_memory": request.placed.cache,
        "options": template_options(backend, _with_sizes(backend, service)),
        "option_args": list(option_args(backend, options)),
        "chat_template": _chat_template(request, options.chat_template),
        "loras": [_lora(name, path) for name, path in sorted((options.lora or {}).items())],
        "draft": model_target(request.draft, "/draft") if request.draft else None,
        "version": version,
        "flag": flag,
        "refuse": lambda option, why: _refuse(request, service, str(option), str(why)),
    }


def _with_sizes(backend: Backend, service: Service) -> Options:
    """The options, and how `args` divide the GPUs: the template gives the tensor-parallel groups what that leaves."""
    options, said = service.options, sizes_said(backend.name, service.args)
    has_groups = options.tensor_parallel is not None or "tensor_parallel" in said
    return options if has_groups or not said else options.model_copy(update=said)


def _host_context(request: RenderRequest) -> dict[str, Any]:
    """`uid` and `gid`: who makes the folders of caches there."""
    host, facts = request.host, request.facts
    uid, gid = (0, 0) if host.become else (facts.uid, facts.gid)
    return {
        "name": request.host_name,
        "vars": dict(host.vars),
        "labels": dict(host.labels),
        "uid": uid,
        "gid": gid,
    }


def _refuse(request: RenderRequest, service: Service, key: str, why: str) -> NoReturn:
    """What only the template knows that it cannot have: an option, or another key. `why` goes on after these names."""
    name, project, backend = request.service_name, request.project, request.backend_name or request.backend.name
    if key not in OPTION_NAMES:
        where = project.where("services", name, "models" if service.models else "model")
        message = f"`{backend}` {why} (service `{name}`)"
        raise SpecError(Diagnostic("model-refused", message, where, hint=f"correct `{key}`, or choose another backend"))
    entries = (index for index, entry in enumerate(service.models) if getattr(entry.options, key) is not None)
    index = next(entries, None)
    path = ("options", key) if index is None else ("models", index, "options", key)
    message = f"`{backend}` cannot be given `{key}`: {why} (service `{name}`)"
    raise SpecError(
        Diagnostic("option-refused", message, project.where("services", name, *path), hint=f"remove `{key}`")
    )


def _lora(name: str, path: str) -> dict[str, str]:
    target = lora_target(name, path)
    return {"name": name, "path": target, "named": f"{name}={target}"}


def _listen_address(service: Service) -> str:
    """All addresses of the container, which publishes one; with the host's network, that one itself."""
    return service.port.bind if service.container.network == "host" else "0.0.0.0"


def listen_port(request: RenderRequest, service: Service) -> int:
    """The server's port where it runs: the host's with the host's network, the container's own otherwise."""
    if service.container.network == "host" and request.placed.port is not None:
        return request.placed.port
    return service.port.container or request.backend.port


def _chat_template(request: RenderRequest, written: str | None) -> dict[str, str | None]:
    """`path` of a file that is shipped, or `name` of one that the backend knows."""
    is_file = written in request.project.files
    return {"path": CHAT_TEMPLATE if is_file else None, "name": None if is_file else written}


def gpu_memory(request: RenderRequest, service: Service) -> int | None:
    """Bytes of the smallest GPU of the replica; SpecError where `options.gpu_memory` needs it and no one knows."""
    sizes = [gpu.memory_total for gpu in request.facts.gpus if gpu.uuid in request.placed.gpus]
    known = [size for size in sizes if size]
    if service.options.gpu_memory is not None and (not known or len(known) != len(request.placed.gpus)):
        raise SpecError(
            Diagnostic(
                "gpu-memory-unknown",
                f"`gpu_memory` of service `{request.service_name}`: the memory of its GPUs is not known",
                request.project.where("services", request.service_name, "options", "gpu_memory"),
                hint="use `gpu_memory_fraction`, or give the service a GPU",
            )
        )
    return min(known) if known else None
