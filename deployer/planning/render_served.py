"""A placed service's models as its container has them. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from deployer.dataclass import dataclass
from deployer.planning.model_args import parse_settings
from deployer.planning.render_mounts import model_mounts, model_target
from deployer.planning.render_options import template_options
from deployer.planning.render_request import ModelFacts, RenderRequest
from deployer.planning.served import args_of, served_names
from deployer.spec.language import Service
from deployer.values.container import Mount

FOLDER = "/models"


@dataclass(frozen=True, slots=True)
class ServedHere:
    """`service`: the service as it would be with this model alone. `folder`: where its files are in the container."""

    service: Service
    facts: ModelFacts
    category: str
    args: tuple[str, ...]
    folder: str

    def mounts(self) -> Iterator[Mount]:
        return model_mounts(self.facts, self.folder)


def served_here(request: RenderRequest, service: Service) -> tuple[ServedHere, ...]:
    """Models of one service may have files of one name: each of several gets a folder of its own."""
    found = []
    several = ((request.model, request.category), *request.others)
    for index, (alone, (facts, category)) in enumerate(zip(service.each(), several, strict=True)):
        folder = posixpath.join(FOLDER, alone.model or "") if service.models else FOLDER
        found.append(ServedHere(alone, facts, category, args_of(service, index), folder))
    return tuple(found)


def model_context(request: RenderRequest, model: ServedHere) -> dict[str, Any]:
    """One model as a template sees it."""
    path = model_target(model.facts, model.folder)
    return {
        "path": path,
        "kind": model.facts.kind,
        "parts": len(model.facts.parts),
        "folder": posixpath.dirname(path) if model.facts.cached is not None and model.facts.parts else model.folder,
        "name": model.service.model,
        "names": list(served_names(model.service)),
        "category": model.category,
        "options": template_options(request.backend, model.service.options),
        "settings": parse_settings(model.args),
    }
