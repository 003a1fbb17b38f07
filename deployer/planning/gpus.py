"""Which GPUs a replica may have on a host: counts, lists, filters, and who is in the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import lru_cache

from deployer.backends.base import is_per_model
from deployer.dataclass import dataclass, replace
from deployer.planning.args_read import sizes_said
from deployer.planning.choice import ServiceChoice
from deployer.planning.gpu_groups import best_group
from deployer.planning.served import gpus_of_all, parallel
from deployer.spec.language import GpuSelection
from deployer.spec.language.services import GpuFilter
from deployer.spec.project import Project
from deployer.values.canonical import canonical_json
from deployer.values.facts import HostFacts, Recorded
from deployer.values.gpu_facts import Gpu


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """What one replica asks of one host. `busy`: GPU UUID -> who has it. `kept`: what the replica has there now.
    `group`: of free GPUs how many its model takes, where nobody says it; None where that is not known either."""

    choice: ServiceChoice
    index: int
    facts: HostFacts
    busy: Mapping[str, str]
    kept: Recorded | None = None
    preferred: frozenset[str] = frozenset()  # before others
    group: Callable[[list[Gpu]], int | None] = lambda free: None
    left: Mapping[str, int] = field(default_factory=dict)  # GPU UUID -> bytes, of those that can be shared

    @property
    def had(self) -> tuple[str, ...]:
        return self.kept.spec.gpus if self.kept is not None and self.kept.spec is not None else ()

    @property
    def is_decided(self) -> bool:
        """How many it has was decided before, from the same wishes."""
        return self.kept is not None and self.kept.decisions.get("gpus_asked") == gpus_asked(self.choice, self.index)


def gpus_wanted(choice: ServiceChoice, index: int) -> int | None:
    """How many GPUs a replica must have; None: as many as its parallel size asks where the host has GPUs, else none."""
    asked = choice.service.placement.gpus
    if asked == "none" or choice.backend.gpu == "never":
        return 0
    if isinstance(asked, int):
        return asked
    if isinstance(asked, tuple):
        return len(entries_of(choice, index)) if has_own_lists(choice) else _parallel(choice)
    return _parallel(choice) if choice.backend.gpu == "required" else None


def has_own_lists(choice: ServiceChoice) -> bool:
    """`placement.gpus` has a list for each replica."""
    asked = choice.service.placement.gpus
    return isinstance(asked, tuple) and bool(asked) and isinstance(asked[0], tuple)


def gpus_asked(choice: ServiceChoice, index: int) -> str:
    """What an automatic choice of GPUs is made from."""
    placement = choice.service.placement
    listed = entries_of(choice, index) if isinstance(placement.gpus, tuple) else placement.gpus
    return _asked(listed, placement.gpu, gpus_wanted(choice, index), _parallel(choice))


@lru_cache(maxsize=1024)
def _asked(listed: tuple[str, ...] | int | str, wishes: GpuFilter | None, wanted: int | None, parallel: int) -> str:
    filtered = wishes.model_dump(mode="json") if wishes is not None else None
    return canonical_json([listed, filtered, wanted, parallel])


def free_gpus(project: Project, request: GpuRequest) -> tuple[str, ...] | str:
    """UUIDs for one replica on this host, those it has first; or why the host cannot give them."""
    choice, facts, busy = request.choice, request.facts, request.busy
    wanted = gpus_wanted(choice, request.index)
    if has_own_lists(choice) and not entries_of(choice, request.index):
        return f"`placement.gpus` has no list for replica {request.index}"
    if wanted == 0 or (wanted is None and request.is_decided and not request.had):
        return ()
    pool = _pool(choice, facts, request.index)
    if isinstance(pool, str):
        return pool
    if facts.gpu.problem is not None and not facts.gpus and request.had:
        return _unseen(request)
    usable = [gpu for gpu in pool if _problem(project, request, gpu) is None]
    if wanted is None and (not facts.gpus or (not usable and not request.had)):
        return ()
    left = [gpu for gpu in usable if gpu.uuid not in busy]
    count = request.group(left) or (_parallel(choice) if wanted is None else wanted)
    if count > 1:
        left = [gpu for gpu in left if gpu.parent is None]
    if len(left) < count:
        return _why_not(project, request, pool, count)
    first = (*request.had, *sorted(request.preferred.difference(request.had)))
    return best_group(_in_order(request, left), count, facts.gpu.topology, first)


def _in_order(request: GpuRequest, free: list[Gpu]) -> list[str]:
    """By index; of GPUs that are shared the emptiest first, or with `binpack` the fullest."""
    sign = 1 if request.choice.service.placement.strategy == "binpack" else -1
    ordered = sorted(free, key=lambda gpu: sign * request.left.get(gpu.uuid, 0)) if request.left else free
    return [gpu.uuid for gpu in ordered]


def without_smallest(request: GpuRequest, found: tuple[str, ...]) -> GpuRequest:
    """The same request for GPUs that have more memory than the smallest of those that were found."""
    sizes = [gpu.memory_total or 0 for gpu in request.facts.gpus if gpu.uuid in found]
    small = {
        gpu.uuid: "nobody, but is too small" for gpu in request.facts.gpus if (gpu.memory_total or 0) <= min(sizes)
    }
    return replace(request, busy={**request.busy, **small})


def _unseen(request: GpuRequest) -> tuple[str, ...] | str:
    """The driver tells nothing just now, as after its update: what runs is left where it is."""
    return request.had if request.is_decided else f"GPUs cannot be used: {request.facts.gpu.problem}"


def _parallel(choice: ServiceChoice) -> int:
    several = is_per_model(choice.backend, "tensor_parallel") and choice.service.models
    if several:
        return gpus_of_all(choice.served)
    return parallel(choice.service, sizes_said(choice.backend.name, choice.service.args))


def _pool(choice: ServiceChoice, facts: HostFacts, index: int) -> list[Gpu] | str:
    """The GPUs of the host that `placement.gpus` leaves to choose from."""
    asked = choice.service.placement.gpus
    if not isinstance(asked, tuple):
        sliced = {gpu.parent for gpu in facts.gpus}
        return [gpu for gpu in facts.gpus if gpu.uuid not in sliced]
    entries = entries_of(choice, index)
    here = [name for host, _, name in (entry.partition(":") for entry in entries) if host == facts.name]
    if not here:
        return "is not named in `placement.gpus`"
    found = {gpu.label: gpu for gpu in facts.gpus} | {gpu.uuid: gpu for gpu in facts.gpus}
    missing = [name for name in here if name not in found]
    if missing:
        return f"has no GPU {', '.join(missing)}; it has {sum(gpu.parent is None for gpu in facts.gpus)}"
    return [found[name] for name in here]


def entries_of(choice: ServiceChoice, index: int) -> tuple[str, ...]:
    """The `HOST:GPU` entries that are for this replica."""
    asked = choice.service.placement.gpus
    if not isinstance(asked, tuple):
        return ()
    if has_own_lists(choice):
        return tuple(map(str, asked[index])) if index < len(asked) else ()
    return tuple(map(str, asked))


def _problem(project: Project, request: GpuRequest, gpu: Gpu) -> str | None:
    """Why this GPU is out of the question for the service; who uses it is another matter."""
    choice, host = request.choice, request.facts.name
    if gpu.problem is not None:
        return gpu.problem
    if gpu.mig_mode:
        return "is in MIG mode"
    if not is_selected(project.spec.hosts[host].gpus, gpu):
        return "is not for deployer (`gpus.use`, `gpus.exclude`)"
    if gpu.uuid not in request.had and (lack := _too_old(choice, gpu)) is not None:
        return lack
    wanted = choice.service.placement.gpu
    return _filtered(wanted, gpu) if wanted is not None else None


def _too_old(choice: ServiceChoice, gpu: Gpu) -> str | None:
    """For the images of the backend's own default; of others it is not known."""
    service, least, found = choice.service, choice.backend.capability, gpu.compute_capability
    if least is None or found is None:
        return None
    is_default = service.image is None and service.version is None and choice.pin is None
    if not is_default or _capability(found) >= least:
        return None
    return f"has compute capability {found}, and `{choice.backend_name}` needs {'.'.join(map(str, least))}"


def is_selected(selection: GpuSelection, gpu: Gpu) -> bool:
    """The host's `gpus` gives it to deployer."""
    if selection.use is None and not selection.exclude:
        return True

    def named(entry: int | str) -> bool:
        if isinstance(entry, int):
            return entry == gpu.index
        return entry in (gpu.uuid, gpu.parent, gpu.label, str(gpu.index)) or entry.lower() in gpu.name.lower()

    used = selection.use is None or any(map(named, selection.use))
    return used and not any(map(named, selection.exclude))


def overrides_of(project: Project, choice: ServiceChoice, facts: HostFacts) -> tuple[int, ...]:
    """The service's overrides that hold on a host: all GPUs that it gives deployer are of that kind."""
    selection = project.spec.hosts[facts.name].gpus
    cards = [gpu for gpu in facts.gpus if is_selected(selection, gpu)]
    if not cards:
        return ()
    written = enumerate(choice.service.overrides)
    return tuple(i for i, override in written if all(_filtered(override.gpu, gpu) is None for gpu in cards))


def _filtered(wanted: GpuFilter, gpu: Gpu) -> str | None:
    if wanted.model is not None and wanted.model.lower() not in gpu.name.lower():
        return f"is a {gpu.name}, not a `{wanted.model}`"
    size = wanted.least_memory
    if size is not None and (gpu.memory_total is None or gpu.memory_total < size):
        return f"has less than `{wanted.memory}` of memory"
    if not _has_capability(gpu.compute_capability, wanted):
        return f"has compute capability {gpu.compute_capability or 'unknown'}, not `{wanted.cc}`"
    return None


def _has_capability(found: str | None, wanted: GpuFilter) -> bool:
    if wanted.cc is None or wanted.least_cc is None:
        return True
    if found is None:
        return False
    a, b = _capability(found), _capability(wanted.least_cc)
    return a >= b if wanted.cc.startswith(">=") else a == b


def _capability(text: str) -> tuple[int, ...]:
    """As numbers: `8.10` is more than `8.9`."""
    return tuple(int(part) for part in text.split("."))


def _why_not(project: Project, request: GpuRequest, pool: list[Gpu], count: int) -> str:
    facts, busy = request.facts, request.busy
    if facts.gpu.problem and not facts.gpus:
        return f"GPUs cannot be used: {facts.gpu.problem}"
    reasons = []
    for gpu in pool:
        why = _problem(project, request, gpu) or (f"is held by {busy[gpu.uuid]}" if gpu.uuid in busy else None)
        if why is None and count > 1 and gpu.parent is not None:
            why = "is a slice, and a server works on one only"
        if why is not None:
            reasons.append(f"GPU {gpu.label} {why}")
    free = len(pool) - len(reasons)
    shown = "; ".join(reasons[:8])
    return f"{free} of {len(pool)} GPUs free, needs {count}" + (f" ({shown})" if shown else "")
