"""Facts of hosts nobody asked: what a spec says of them, so that it can be rendered without any connection."""

from __future__ import annotations

import posixpath

from deployer.backends import find
from deployer.formats.gguf_parts import split_parts
from deployer.planning.choice import base_backend
from deployer.planning.hosts import hosts_named
from deployer.spec.language import Host, Model, Service
from deployer.spec.language.services import GpuFilter
from deployer.spec.project import Project
from deployer.values.facts import DockerFacts, HostFacts, ObservedState, PathFact
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.weights import Listing, WeightFile

ASSUMED_GPUS = 8


def assume_facts(project: Project) -> ObservedState:
    """One value a host: every model is there. GPUs are where a service may want them, named `GPU-0`, `GPU-1`, ..., and
    as good as it wants them."""
    paths: dict[str, dict[str, PathFact]] = {name: {} for name in project.spec.hosts}
    for service in project.spec.services.values():
        models = (project.spec.models.get(alone.model or "") for alone in service.each())
        files = [model.location for model in models if model is not None and model.scheme == "file"]
        for name in hosts_named(project.spec, service.placement.hosts):
            for location in files:
                paths[name].update(model_paths(location))
    wants: dict[str, list[GpuFilter]] = {name: [] for name in project.spec.hosts}
    for service in project.spec.services.values():
        if service.placement.gpus not in ("none", 0, "auto") or _is_for_gpus(project, service):
            for name in hosts_named(project.spec, service.placement.hosts):
                wants[name].append(service.placement.gpu or GpuFilter.usual())
    return ObservedState(
        {name: _facts(name, host, paths[name], _gpus(wants[name])) for name, host in project.spec.hosts.items()}
    )


def _is_for_gpus(project: Project, service: Service) -> bool:
    """It names a backend that people give GPUs; llama.cpp, by whatever name, is at home without."""
    backend = find(base_backend(project.spec, service.backend)) if service.backend is not None else None
    return service.backend is not None and (backend is None or backend.name != "llama.cpp")


def assume_listings(project: Project) -> dict[str, Listing]:
    """What deploy.lock says of models that are fetched; of others a file or two as the spec names them."""
    locked = project.lock.listings()
    models = {name: model for name, model in project.spec.models.items() if model.is_fetched}
    ggufs = _served_as_gguf(project)
    return {m.reference: locked.get(m.reference) or _listing(m, name in ggufs) for name, m in models.items()}


def _served_as_gguf(project: Project) -> set[str]:
    """Models that a service gives to a backend which loads nothing else."""
    found = set()
    for service in project.spec.services.values():
        backend = find(base_backend(project.spec, service.backend)) if service.backend is not None else None
        if backend is not None and backend.formats == ("gguf",):
            found |= {alone.model or "" for alone in service.each()}
    return found


def _listing(model: Model, is_gguf: bool) -> Listing:
    name = posixpath.basename(model.location.rstrip("/"))
    wanted = next((pattern for pattern in model.include if pattern.endswith(".gguf")), None)
    if is_gguf or wanted is not None or "gguf" in name.lower():
        paths: tuple[str, ...] = ((wanted or f"*{name}").replace("*", "").removesuffix(".gguf") + ".gguf",)
    else:
        paths = ("config.json", "model.safetensors")
    files = tuple(WeightFile(path, 0, tag="assumed") for path in paths)
    revision = model.revision or "main"
    return Listing(model.source[0], revision, revision, files, pinned=True)


def _gpus(wants: list[GpuFilter]) -> tuple[Gpu, ...]:
    """As many of each kind that is asked for."""
    kinds = [wanted for index, wanted in enumerate(wants) if wanted not in wants[:index]]
    return tuple(_gpu(index, kinds[index // ASSUMED_GPUS]) for index in range(ASSUMED_GPUS * len(kinds)))


def _gpu(index: int, wanted: GpuFilter) -> Gpu:
    name, memory, capability = wanted.model or "assumed", wanted.least_memory, wanted.least_cc
    return Gpu(index, f"GPU-{index}", name, memory_total=memory, compute_capability=capability)


def model_paths(location: str) -> dict[str, PathFact]:
    kind = "file" if location.endswith(".gguf") else "directory"
    entries = () if kind == "file" else ("config.json", "model.safetensors")
    return {path: PathFact(path, kind, entries=entries) for path in (location, *split_parts(location))}  # type: ignore[arg-type]


def _facts(name: str, host: Host, paths: dict[str, PathFact], gpus: tuple[Gpu, ...]) -> HostFacts:
    return HostFacts(
        name=name,
        hostname=name,
        os="",
        kernel="",
        arch="x86_64",
        uid=0,
        gid=0,
        user=host.user or "",
        cpus=0,
        memory_total=0,
        memory_available=0,
        time="",
        docker=DockerFacts("", "", runtimes=("runc", "nvidia")),
        gpu=GpuFacts(gpus=gpus),
        paths=paths,
    )
