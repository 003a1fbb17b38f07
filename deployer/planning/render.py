"""A placed replica as the container it shall be. Pure: what it reads of host and spec is in the request."""

from __future__ import annotations

import base64
import posixpath

from deployer.backends.base import Backend, SecretConfig, SecretEnv
from deployer.backends.versions import tag_of
from deployer.errors import Diagnostic, SpecError
from deployer.planning.own_help import foreign_flags
from deployer.planning.render_check import container_problems
from deployer.planning.render_context import CHAT_TEMPLATE, listen_port, template_context
from deployer.planning.render_docker import combined, docker_fields
from deployer.planning.render_mounts import (
    cache_mounts,
    lora_target,
    merged_mounts,
    model_mounts,
    parse_volume,
    secret_files,
    shipped_files,
)
from deployer.planning.render_names import placed_service
from deployer.planning.render_output import TemplateOutput, parse_output
from deployer.planning.render_request import ModelFacts, Placed, RenderRequest
from deployer.planning.render_served import served_here
from deployer.planning.render_setup import parse_setup
from deployer.planning.render_template import builtin_template, render_template, template_error
from deployer.spec.language import BackendPin, Container, Service
from deployer.values.container import ContainerSpec, Mount, PortBinding, SecretFile, ShippedFile
from deployer.values.secrets import SecretRef
from deployer.values.setup import SetupTask

__all__ = ["ModelFacts", "Placed", "RenderRequest", "choose_image", "render_container", "render_setup"]

API_KEYS = "/etc/deployer/api-keys"


def choose_image(service: Service, pin: BackendPin | None, backend: Backend, with_gpus: bool) -> str:
    """The image: the service's, its version's, the pin's, the pin's version's, or the backend's default."""
    if service.image is not None:
        return service.image.name
    version = service.version
    if version is None and pin is not None:
        if pin.image is not None:
            return pin.image.name
        version = pin.version
    images = backend.images
    repository = images.repository if with_gpus else images.cpu_repository or images.repository
    pattern = images.gpu if with_gpus else images.cpu
    version = version or backend.version
    unversioned = images.gpu_unversioned if with_gpus else images.cpu_unversioned
    if repository is not None and pattern is not None and version is None and unversioned is None:
        raise SpecError(Diagnostic("no-image", f"no release of `{backend.name}` is named", hint=images.instead))
    if repository is None or pattern is None or (version is None and unversioned is None):
        of_a_kind = "" if repository is None else f" for replicas {'with' if with_gpus else 'without'} GPUs"
        raise SpecError(Diagnostic("no-image", f"`{backend.name}` has no image{of_a_kind}", hint=images.instead))
    return f"{repository}:{tag_of(pattern, version) if version is not None else unversioned}"


def render_container(request: RenderRequest) -> ContainerSpec:
    """Backend and template, with the spec's settings over them. SpecError for what only rendering can see."""
    service = placed_service(request)
    output = _output(request, service)
    container = combined(output.container, service.container)
    files = _own_files(request.backend, output)
    files |= shipped_files(request, container.files) | _chat_template(request, service)
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
    problems = (*container_problems(request, spec), *foreign_flags(request, service, spec))
    if problems:
        raise SpecError(problems)
    return spec


def render_setup(request: RenderRequest) -> tuple[SetupTask, ...]:
    """What the replica must be given once its server answers."""
    name = request.backend.setup
    if name is None:
        return ()
    service = placed_service(request)
    made = render_template(name, builtin_template(name), template_context(request, service))
    patience = service.health.ready_timeout
    return parse_setup(name, made, request.backend.ready_timeout if patience is None else patience)


def template_of(request: RenderRequest) -> tuple[str, str]:
    """The name and the text of the template that a replica is rendered with."""
    own = request.template
    name = own or request.backend.template
    return name, builtin_template(name) if own is None else _user_template(request, name)


def _output(request: RenderRequest, service: Service) -> TemplateOutput:
    name, source = template_of(request)
    return parse_output(name, render_template(name, source, template_context(request, service)))


def _user_template(request: RenderRequest, name: str) -> str:
    content = request.project.files.get(name)
    if content is None:
        raise template_error(name, "there is no such file beside the spec")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise template_error(name, "it is not UTF-8") from error


def _mounts(
    request: RenderRequest, service: Service, container: Container, output: TemplateOutput
) -> tuple[Mount, ...]:
    ours = [mount for model in served_here(request, service) for mount in model.mounts()]
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


def _own_files(backend: Backend, output: TemplateOutput) -> dict[str, ShippedFile]:
    """Programs of the backend's that its image lacks, and what its template makes."""
    programs = {path: _shipped(builtin_template(name), 0o755) for path, name in backend.files.items()}
    return programs | {path: _shipped(content, 0o644) for path, content in output.data.items()}


def _shipped(text: str, mode: int) -> ShippedFile:
    return ShippedFile(base64.b64encode(text.encode()).decode(), mode=mode)


def _ports(request: RenderRequest, service: Service, container: Container) -> tuple[PortBinding, ...]:
    mode = container.network
    if request.placed.port is None or mode in ("host", "none") or mode.startswith("container:"):
        return ()
    return (PortBinding(listen_port(request, service), request.placed.port, service.port.bind),)


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
    if not keys:
        return {}, (), {}
    uid, gid = _owner(container.user)
    match mapping:
        case SecretConfig(flag, path, content):
            return {}, (flag, path), {path: SecretFile(keys[0], uid=uid, gid=gid, content=content)}
        case SecretEnv(_, str() as file_flag) if len(keys) > 1:
            return {}, (file_flag, API_KEYS), {API_KEYS: SecretFile(keys[0], uid=uid, gid=gid, more=keys[1:])}
        case SecretEnv(variable):
            return {variable: keys[0]}, (), {}
        case _:
            return {}, (), {}


def _owner(user: str | None) -> tuple[int, int]:
    """The ids of a numeric `user`, so that its process can read a 0600 file; root's of any other."""
    uid, _, gid = (user or "").partition(":")
    return (int(uid), int(gid) if gid.isdigit() else 0) if uid.isdigit() else (0, 0)
