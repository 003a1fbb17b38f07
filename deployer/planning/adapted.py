"""A backend as one service has it: with the image of its model, and what the spec's own template reads. Pure."""

from __future__ import annotations

import re

from deployer.backends.base import (
    FILES,
    Backend,
    Flag,
    InTemplate,
    OptionMapping,
    Refused,
    SecretByHand,
    SecretConfig,
    SecretEnv,
    Switch,
)
from deployer.dataclass import replace
from deployer.planning.render_request import template_named
from deployer.spec.language import Model
from deployer.spec.project import Project

# What a template is given of an option beside the option itself.
MADE_OF = {
    "tensor_parallel": ("gpus",),
    "gpu_memory": ("gpu_memory",),
    "chat_template": ("chat_template",),
    "lora": ("loras",),
    "speculative": ("draft",),
}


def adapted(backend: Backend, project: Project, named: str, model: Model) -> Backend:
    """`named`: the backend as the spec knows it; `model`: the first that the service serves."""
    return _with_options_of_template(_with_image_of(backend, model), project, named)


def _with_image_of(backend: Backend, model: Model) -> Backend:
    """The repository of a model that is an image of its own."""
    if backend.images.of_model is None or model.scheme in FILES:
        return backend
    repository = backend.images.of_model.replace("{model}", model.location)
    return replace(backend, images=replace(backend.images, repository=repository))


def _with_options_of_template(backend: Backend, project: Project, named: str) -> Backend:
    """What the backend itself refuses, a template of the spec may know what to do with; what that does not read, nobody
    does."""
    name = template_named(project.spec.backends, named, backend)
    if name is None or name not in project.files:
        return backend
    source = project.files[name].decode("utf-8", "replace")
    read = {option for option in backend.options if _reads(source, option)}
    unread = Refused(f"the template `{name}` of `{named}` does not read it")
    told = {option: _told(mapping, option in read, unread, source) for option, mapping in backend.options.items()}
    return replace(backend, options=told)


def _told(mapping: OptionMapping, is_read: bool, unread: Refused, source: str) -> OptionMapping:
    match mapping:
        case SecretEnv() | SecretConfig() | SecretByHand():
            return mapping  # they go by the container, not by its template
        case Refused():
            return InTemplate() if is_read else mapping
        case Flag() | Switch():
            return mapping if is_read or "option_args" in source else unread
        case _:
            return mapping if is_read else unread


def _reads(source: str, option: str) -> bool:
    """By name, by what is made of the option, or with all others."""
    names = (rf"\boptions\.{option}\b", *(rf"\b{name}\b" for name in MADE_OF.get(option, ())))
    return any(re.search(name, source) for name in (*names, r"\boptions\b(?!\.)"))
