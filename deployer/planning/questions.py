"""What a host is asked beyond the usual facts: the paths of the spec that matter there."""

from __future__ import annotations

import posixpath

from deployer.formats.gguf_parts import split_parts
from deployer.planning.cached import folders_asked
from deployer.planning.hosts import HostIndex
from deployer.planning.presynced import places_asked
from deployer.spec.language import Model
from deployer.spec.project import Project

MAX_PATHS = 2000  # a host


def questions(project: Project) -> dict[str, tuple[str, ...]]:
    """For each host of the spec the absolute paths to look at, sorted."""
    index = HostIndex(project.spec)
    wanted: dict[str, set[str]] = {name: {host.cache_dir} for name, host in project.spec.hosts.items()}
    for service in project.spec.services.values():
        speculative = service.options.speculative
        names = (*(alone.model for alone in service.each()), speculative.model if speculative else None)
        paths = {path for name in names for path in _paths(project, name)}
        paths |= {source for volume in service.container.volumes if (source := volume.split(":")[0]).startswith("/")}
        paths |= set((service.options.lora or {}).values())
        for name in index.named(service.placement.hosts):
            wanted[name] |= paths
    return {name: tuple(sorted(p for p in paths if "${" not in p))[:MAX_PATHS] for name, paths in wanted.items()}


def folders(project: Project) -> dict[str, tuple[str, ...]]:
    """For each host of the spec the folders of its cache that tell which weights are there."""
    spec = project.spec
    return {name: folders_asked(spec.hosts[name], models)[:MAX_PATHS] for name, models in _fetched(project).items()}


def copies(project: Project) -> dict[str, tuple[str, ...]]:
    """For each host of the spec the places where copies of its models may be that deployer did not make."""
    spec = project.spec
    if not any(host.model_dirs for host in spec.hosts.values()):
        return dict.fromkeys(spec.hosts, ())
    return {name: places_asked(spec.hosts[name], models)[:MAX_PATHS] for name, models in _fetched(project).items()}


def _fetched(project: Project) -> dict[str, list[Model]]:
    """By host the models that its replicas may be given of those that deployer fetches."""
    spec, index = project.spec, HostIndex(project.spec)
    used: dict[str, list[Model]] = {name: [] for name in spec.hosts}
    for service in spec.services.values():
        speculative = service.options.speculative
        names = (*(alone.model for alone in service.each()), speculative.model if speculative else None)
        models = [spec.models[name] for name in names if name in spec.models and spec.models[name].is_fetched]
        for host in index.named(service.placement.hosts) if models else ():
            used[host] += models
    return used


def _paths(project: Project, name: str | None) -> set[str]:
    model = project.spec.models.get(name or "")
    if model is None or model.scheme != "file":
        return set()
    parts = split_parts(model.location)
    return {model.location, *parts} if len(parts) > 1 else {model.location, posixpath.normpath(model.location)}
