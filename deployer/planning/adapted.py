"""A backend as one service has it: with the image of its model, and what the spec's own template reads. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from deployer.backends.base import FILES, Backend, InTemplate, Refused
from deployer.planning.render_request import template_named
from deployer.spec.language import Model
from deployer.spec.project import Project


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
    """What the backend itself refuses, a template of the spec may know what to do with."""
    name = template_named(project.spec.backends, named, backend)
    source = project.files.get(name or "", b"").decode("utf-8", "replace")
    read = set(re.findall(r"\boptions\.([a-z_]+)", source))
    known = {o: InTemplate() for o, mapping in backend.options.items() if isinstance(mapping, Refused) and o in read}
    return replace(backend, options={**backend.options, **known}) if known else backend
