"""Facts of hosts nobody asked: what a spec says of them, so that it can be rendered without any connection."""

from __future__ import annotations

from deployer.formats.gguf_parts import split_parts
from deployer.planning.hosts import hosts_named
from deployer.spec.language import Host
from deployer.spec.language.services import GpuFilter
from deployer.spec.project import Project
from deployer.values.facts import DockerFacts, Gpu, GpuFacts, HostFacts, ObservedState, PathFact

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
                paths[name].update(_model_paths(location))
    wants: dict[str, list[GpuFilter]] = {name: [] for name in project.spec.hosts}
    for service in project.spec.services.values():
        if service.placement.gpus not in ("none", 0, "auto") or service.backend not in (None, "llama.cpp"):
            for name in hosts_named(project.spec, service.placement.hosts):
                wants[name].append(service.placement.gpu or GpuFilter.usual())
    return ObservedState(
        {name: _facts(name, host, paths[name], _gpus(wants[name])) for name, host in project.spec.hosts.items()}
    )


def _gpus(wants: list[GpuFilter]) -> tuple[Gpu, ...]:
    """As many of each kind that is asked for."""
    kinds = [wanted for index, wanted in enumerate(wants) if wanted not in wants[:index]]
    return tuple(_gpu(index, kinds[index // ASSUMED_GPUS]) for index in range(ASSUMED_GPUS * len(kinds)))


def _gpu(index: int, wanted: GpuFilter) -> Gpu:
    name, memory, capability = wanted.model or "assumed", wanted.least_memory, wanted.least_cc
    return Gpu(index, f"GPU-{index}", name, memory_total=memory, compute_capability=capability)


def _model_paths(location: str) -> dict[str, PathFact]:
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
