"""What a rendered container may not be: things no process can be given, and things that are deployer's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deployer.errors import Diagnostic
from deployer.planning.render_docker import refused_extra
from deployer.planning.render_request import RenderRequest
from deployer.values.canonical import canonical_json
from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec

PREFIX = "deployer."
NUL = "\\u0000"  # as JSON writes it


def container_problems(request: RenderRequest, spec: ContainerSpec) -> Iterator[Diagnostic]:
    """Every error of the rendered container, with the place in the spec that is nearest to it."""
    service, project = request.service_name, request.project
    for path in _bad_texts(spec):
        message = f"`{path}` of service `{service}` holds a NUL or text that is not Unicode"
        yield Diagnostic("bad-text", message, project.where("services", service), hint="remove it")
    for name in spec.env:
        if not name or "=" in name:
            message = f"`{name}` of service `{service}` cannot be the name of an environment variable"
            where = project.where("services", service, "env", name)
            yield Diagnostic("bad-variable", message, where, hint="names have no `=` and are not empty")
    for name in spec.labels:
        if name.startswith(PREFIX):
            message = f"the label `{name}` of service `{service}` is deployer's own"
            where = project.where("services", service, "container", "labels", name)
            yield Diagnostic("reserved-label", message, where, hint=f"labels of yours do not begin with `{PREFIX}`")
    refused = refused_extra(spec.extra)
    if refused is not None:
        where = project.where("services", service, "container", "extra")
        yield Diagnostic("extra-refused", f"{refused} (service `{service}`)", where, hint="remove it from `extra`")
    yield from _unfit_model(request)
    yield from _unwritable(request, spec)


def _unfit_model(request: RenderRequest) -> Iterator[Diagnostic]:
    """A folder where the backend can only be given a GGUF file."""
    if request.backend.formats != ("gguf",):
        return
    models = (request.model, *(facts for facts, _ in request.others))
    for alone, model in zip(request.project.spec.services[request.service_name].each(), models, strict=True):
        if model.kind == "directory":
            yield Diagnostic(
                "format-refused",
                f"`{request.backend.name}` serves GGUF files, and there is none in `{model.path}` on host "
                f"`{request.host_name}` (service `{request.service_name}`)",
                request.project.where("models", alone.model or "", "source"),
                hint="name another `backend`, or correct the model's `source`",
            )


def _unwritable(request: RenderRequest, spec: ContainerSpec) -> Iterator[Diagnostic]:
    paths = sorted({*spec.files, *spec.secret_files})
    if spec.read_only and paths:
        yield Diagnostic(
            "read-only-files",
            f"service `{request.service_name}` has a read-only root: Docker can put no files into it",
            request.project.where("services", request.service_name, "container", "read_only"),
            evidence=tuple(paths),
            hint="remove `read_only`, or mount the files with `volumes`",
        )


def _bad_texts(spec: ContainerSpec) -> Iterator[str]:
    """Paths of texts that no process can be given. Looked for one by one only where there may be some."""
    data = to_data(spec)
    text = canonical_json(data)
    return _bad_under(data, "") if NUL in text or not _is_unicode(text) else iter(())


def _bad_under(data: Any, path: str) -> Iterator[str]:
    if isinstance(data, str):
        if "\0" in data or not _is_unicode(data):
            yield path
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _bad_under(value, f"{path}.{key}" if path else key)
            if "\0" in key or not _is_unicode(key):
                yield path
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield from _bad_under(item, f"{path}.{index}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
