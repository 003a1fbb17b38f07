"""Which GPUs a replica may have on a host: counts, lists, filters, and who is in the way."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.planning.choice import ServiceChoice
from deployer.spec.language import GpuSelection
from deployer.spec.language.base import parse_size
from deployer.spec.language.services import GpuFilter
from deployer.spec.project import Project
from deployer.values.facts import Gpu, HostFacts


def gpus_wanted(choice: ServiceChoice) -> int | None:
    """How many GPUs a replica must have; None: as many as its parallel size asks where the host has GPUs, else none."""
    asked = choice.service.placement.gpus
    if asked == "none" or choice.backend.gpu == "never":
        return 0
    if isinstance(asked, int):
        return asked
    if isinstance(asked, tuple):
        inner = asked[0] if asked and isinstance(asked[0], tuple) else None
        return len(inner) if inner is not None else _parallel(choice)
    return _parallel(choice) if choice.backend.gpu == "required" else None


def free_gpus(
    project: Project,
    choice: ServiceChoice,
    facts: HostFacts,
    busy: Mapping[str, str],
    kept: tuple[str, ...],
    index: int = 0,
) -> tuple[str, ...] | str:
    """UUIDs for one replica on this host, those it has first; or why the host cannot give them."""
    wanted = gpus_wanted(choice)
    if wanted == 0:
        return ()
    pool = _pool(choice, facts, index)
    if isinstance(pool, str):
        return pool
    usable = [gpu for gpu in pool if _problem(project, choice, facts.name, gpu) is None]
    count = _parallel(choice) if wanted is None else wanted
    if wanted is None and (not facts.gpus or (not usable and not kept)):
        return ()
    free = [gpu.uuid for gpu in usable if gpu.uuid not in busy]
    if len(free) < count:
        return _why_not(project, choice, facts, busy, pool, count)
    first = [uuid for uuid in kept if uuid in free]
    return tuple((first + [uuid for uuid in free if uuid not in first])[:count])


def _parallel(choice: ServiceChoice) -> int:
    options = choice.service.options
    return (options.tensor_parallel or 1) * (options.pipeline_parallel or 1)


def _pool(choice: ServiceChoice, facts: HostFacts, index: int) -> list[Gpu] | str:
    """The GPUs of the host that `placement.gpus` leaves to choose from."""
    asked = choice.service.placement.gpus
    if not isinstance(asked, tuple):
        return list(facts.gpus)
    entries: tuple[str, ...]
    if asked and isinstance(asked[0], tuple):
        if index >= len(asked):
            return f"`placement.gpus` has no list for replica {index}"
        entries = asked[index]
    else:
        entries = asked  # type: ignore[assignment]
    here = [name for host, _, name in (entry.rpartition(":") for entry in entries) if host == facts.name]
    if not here:
        return "is not named in `placement.gpus`"
    found = {str(gpu.index): gpu for gpu in facts.gpus} | {gpu.uuid: gpu for gpu in facts.gpus}
    missing = [name for name in here if name not in found]
    if missing:
        return f"has no GPU {', '.join(missing)}; it has {len(facts.gpus)}"
    return [found[name] for name in here]


def _problem(project: Project, choice: ServiceChoice, host: str, gpu: Gpu) -> str | None:
    """Why this GPU is out of the question for the service; who uses it is another matter."""
    if gpu.problem is not None:
        return gpu.problem
    if gpu.mig_mode:
        return "is in MIG mode"
    if not _selected(project.spec.hosts[host].gpus, gpu):
        return "is not for deployer (`gpus.use`, `gpus.exclude`)"
    wanted = choice.service.placement.gpu
    return _filtered(wanted, gpu) if wanted is not None else None


def _selected(selection: GpuSelection, gpu: Gpu) -> bool:
    def named(entry: int | str) -> bool:
        if isinstance(entry, int):
            return entry == gpu.index
        return entry in (gpu.uuid, str(gpu.index)) or entry.lower() in gpu.name.lower()

    used = selection.use is None or any(map(named, selection.use))
    return used and not any(map(named, selection.exclude))


def _filtered(wanted: GpuFilter, gpu: Gpu) -> str | None:
    if wanted.model is not None and wanted.model.lower() not in gpu.name.lower():
        return f"is a {gpu.name}, not a `{wanted.model}`"
    if wanted.memory is not None:
        size = parse_size(wanted.memory.removeprefix(">=").strip())
        if gpu.memory_total is None or gpu.memory_total < size:
            return f"has less than `{wanted.memory}` of memory"
    if wanted.cc is not None and not _at_least(gpu.compute_capability, wanted.cc):
        return f"has compute capability {gpu.compute_capability or 'unknown'}, not `{wanted.cc}`"
    return None


def _at_least(found: str | None, wanted: str) -> bool:
    if found is None:
        return False
    least = wanted.removeprefix(">=").strip()
    a, b = (tuple(int(part) for part in text.split(".")) for text in (found, least))
    return a >= b if wanted.startswith(">=") else a == b


def _why_not(
    project: Project, choice: ServiceChoice, facts: HostFacts, busy: Mapping[str, str], pool: list[Gpu], count: int
) -> str:
    if facts.gpu.problem and not facts.gpus:
        return f"GPUs cannot be used: {facts.gpu.problem}"
    reasons = []
    for gpu in pool:
        why = _problem(project, choice, facts.name, gpu) or (
            f"is held by {busy[gpu.uuid]}" if gpu.uuid in busy else None
        )
        if why is not None:
            reasons.append(f"GPU {gpu.index} {why}")
    free = len(pool) - len(reasons)
    shown = "; ".join(reasons[:8])
    return f"{free} of {len(pool)} GPUs free, needs {count}" + (f" ({shown})" if shown else "")
