"""A placed replica as the container it shall be. Pure: what it reads of host and spec is in the request."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from deployer.backends.base import Backend, SecretEnv
from deployer.backends.versions import has_flag, tag_of
from deployer.errors import Diagnostic, SpecError
from deployer.planning.render_docker import combined, docker_fields, refused_extra
from deployer.planning.render_mounts import (
    cache_mounts,
    lora_target,
    merged_mounts,
    model_mounts,
    model_target,
    parse_volume,
    secret_files,
    shipped_files,
)
from deployer.planning.render_names import placed_service
from deployer.planning.render_options import option_args, template_options, version_of
from deployer.planning.render_output import TemplateOutput, parse_output
from deployer.planning.render_request import ModelFacts, Placed, RenderRequest
from deployer.planning.render_template import builtin_template, render_template, template_error
from deployer.spec.language import BackendPin, Container, Service
from deployer.values.container import ContainerSpec, Mount, PortBinding, SecretFile, ShippedFile
from deployer.values.secrets import SecretRef

__all__ = ["ModelFacts", "Placed", "RenderRequest", "choose_image", "render_container", "served_names"]

CHAT_TEMPLATE = "/etc/deployer/chat-template.jinja"
SECRETS = "/run/deployer"


def choose_image(service: Service, pin: BackendPin | None, backend: Backend, with_gpus: bool) -> str:
    """The image: the service's, its version's, the pin's, the pin's version's, or the backend's default."""
    if service.image is not None:
        return service.image
    version = service.version
    if version is None and pin is not None:
        if pin.image is not None:
            return pin.image
        version = pin.version
    images = backend.images
    repository = images.repository if with_gpus else images.cpu_repository or images.repository
    pattern = images.gpu if with_gpus else images.cpu
    version = version or backend.version
    unversioned = images.gpu_unversioned if with_gpus else images.cpu_unversioned
    if pattern is None or (version is None and unversioned is None):
        kind = "with" if with_gpus else "without"
        message = f"`{backend.name}` has no image for replicas {kind} GPUs"
        raise SpecError(Diagnostic("no-image", message, hint="name one with the service's `image`"))
    return f"{repository}:{tag_of(pattern, version) if version is not None else unversioned}"


def served_names(service: Service) -> tuple[str, ...]:
    """The names the model answers to: `served_name`, else the model's own."""
    return service.served_name or ((service.model,) if service.model else ())


def render_container(request: RenderRequest) -> ContainerSpec:
    """Backend and template, with the spec's settings over them. SpecError for what only rendering can see."""
    service = placed_service(request)
    output = _output(request, service)
    container = combined(output.container, service.container)
    files = shipped_files(request, container.files) | _chat_template(request, service)
    keys, key_args, key_files = _api_key(request.backend, service, container)
    args = (*output.args, *key_args, *service.args)
    env = {**request.backend.env, **output.env, **keys, **service.env}
    spec = ContainerSpec(
        image=request.image,
        command=args if container.command is None else container.command,
        env=env,
        mounts=_mounts(request, service, container, output),
        ports=_ports(request, service, container),
        files=files,
        secret_files=key_files | secret_files(request, container.secret_files),
        **docker_fields(container, request.backend, request.placed.gpus),
    )
    _check(request, spec)
    return spec


def _output(request: RenderRequest, service: Service) -> TemplateOutput:
    own = request.template
    name = own or request.backend.template
    source = builtin_template(name) if own is None else _user_template(request, name)
    return parse_output(name, render_template(name, source, _context(request, service)))


def _user_template(request: RenderRequest, name: str) -> str:
    content = request.project.files.get(name)
    if content is None:
        raise template_error(name, "there is no such file beside the spec")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise template_error(name, "it is not UTF-8") from error


def _context(request: RenderRequest, service: Service) -> dict[str, Any]:
    """Everything a template sees."""
    backend, options, host = request.backend, service.options, request.host
    version = version_of(service, request.image, backend)
    flag: Callable[[str], bool] = lambda name: has_flag(backend, name, version)  # noqa: E731
    is_host_network = service.container.network == "host"
    shipped = options.chat_template in request.project.files
    return {
        "service": request.service_name,
        "replica": request.key.index,
        "project": request.project.spec.project,
        "host": {"name": request.host_name, "vars": dict(host.vars), "labels": dict(host.labels)},
        "model": {"path": model_target(request.model), "kind": request.model.kind, "name": service.model},
        "names": list(served_names(service)),
        "listen": {
            "address": service.port.bind if is_host_network else "0.0.0.0",
            "port": _listen_port(request, service, is_host_network),
        },
        "category": request.category,
        "gpus": list(request.placed.gpus),
        "gpu_memory": _gpu_memory(request, service),
        "options": template_options(backend, options),
        "option_args": list(option_args(backend, options)),
        "chat_template": {
            "path": CHAT_TEMPLATE if shipped else None,
            "name": None if shipped else options.chat_template,
        },
        "loras": [{"name": n, "path": lora_target(n, p)} for n, p in sorted((options.lora or {}).items())],
        "draft": model_target(request.draft, "/draft") if request.draft else None,
        "version": version,
        "flag": flag,
    }


def _listen_port(request: RenderRequest, service: Service, is_host_network: bool) -> int:
    if is_host_network and request.placed.port is not None:
        return request.placed.port
    return service.port.container or request.backend.port


def _gpu_memory(request: RenderRequest, service: Service) -> int | None:
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


def _mounts(
    request: RenderRequest, service: Service, container: Container, output: TemplateOutput
) -> tuple[Mount, ...]:
    ours = [*model_mounts(request.model)]
    if request.draft is not None:
        ours += model_mounts(request.draft, "/draft")
    for name, path in sorted((service.options.lora or {}).items()):
        ours.append(Mount(posixpath.normpath(path), lora_target(name, path), read_only=True))
    ours += cache_mounts(request, {**request.backend.caches, **output.caches})
    try:
        return merged_mounts(ours, [parse_volume(text) for text in container.volumes])
    except ValueError as error:
        where = request.project.where("services", request.service_name, "container", "volumes")
        raise SpecError(Diagnostic("bad-volume", f"{error} (service `{request.service_name}`)", where)) from error


def _ports(request: RenderRequest, service: Service, container: Container) -> tuple[PortBinding, ...]:
    mode = container.network
    if request.placed.port is None or mode in ("host", "none") or mode.startswith("container:"):
        return ()
    return (PortBinding(_listen_port(request, service, False), request.placed.port, service.port.bind),)


def _chat_template(request: RenderRequest, service: Service) -> dict[str, ShippedFile]:
    from deployer.spec.language.container import ShippedFileOptions

    path = service.options.chat_template
    if path is None or path not in request.project.files:
        return {}
    return shipped_files(request, {CHAT_TEMPLATE: ShippedFileOptions(path=path)})


def _api_key(
    backend: Backend, service: Service, container: Container
) -> tuple[dict[str, SecretRef], tuple[str, ...], dict[str, SecretFile]]:
    """Environment, arguments and files that bring the API keys: one by the environment, several by a 0600 file."""
    mapping, keys = backend.options["api_key"], service.options.api_key or ()
    if not isinstance(mapping, SecretEnv) or not keys:
        return {}, (), {}
    if len(keys) == 1 or mapping.file_flag is None:
        return {mapping.variable: keys[0]}, (), {}
    path = f"{SECRETS}/api-keys"
    uid, gid = _owner(container.user)
    return {}, (mapping.file_flag, path), {path: SecretFile(keys[0], uid=uid, gid=gid, more=keys[1:])}


def _owner(user: str | None) -> tuple[int, int]:
    """The ids of a numeric `user`, so that its process can read a 0600 file; root's of any other."""
    uid, _, gid = (user or "").partition(":")
    return (int(uid), int(gid) if gid.isdigit() else 0) if uid.isdigit() else (0, 0)


def _check(request: RenderRequest, spec: ContainerSpec) -> None:
    """What no process can be given (NUL, text that is not Unicode), and what is deployer's own."""
    where = request.project.where("services", request.service_name)
    for text in _texts(spec.command, spec.entrypoint or (), spec.env):
        if "\0" in text or not _is_unicode(text):
            message = f"arguments or environment of service `{request.service_name}` hold a NUL or no Unicode text"
            raise SpecError(Diagnostic("bad-text", message, where, hint="remove it"))
    for name in spec.env:
        if not name or "=" in name:
            message = f"`{name}` of service `{request.service_name}` cannot be the name of an environment variable"
            raise SpecError(Diagnostic("bad-variable", message, where, hint="names have no `=` and are not empty"))
    for name in spec.labels:
        if name == "deployer" or name.startswith("deployer."):
            message = f"the label `{name}` of service `{request.service_name}` is deployer's own"
            raise SpecError(Diagnostic("reserved-label", message, where, hint="choose another name"))
    refused = refused_extra(spec.extra)
    if refused is not None:
        where = request.project.where("services", request.service_name, "container", "extra")
        raise SpecError(Diagnostic("extra-refused", f"{refused} (service `{request.service_name}`)", where))


def _texts(command: Iterable[str], entrypoint: Iterable[str], env: Mapping[str, str | SecretRef]) -> Iterable[str]:
    yield from command
    yield from entrypoint
    for name, value in env.items():
        yield name
        if isinstance(value, str):
            yield value


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
