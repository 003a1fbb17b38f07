"""Whether services fit into the memory of the GPUs that they would get, and over how many GPUs. Remembers what it found
for each service, model and kind of GPU, so that a thousand alike hosts cost one estimate."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, Severity
from deployer.planning.choice import ServiceChoice
from deployer.planning.estimate import estimate, groups, smallest_group
from deployer.planning.estimate_fixes import Fix, explained, fixes, rule_fixes
from deployer.planning.estimate_request import Card, Serving, SizedModel
from deployer.planning.estimate_unknowns import said_in_plans
from deployer.planning.gpu_memory import is_automatic
from deployer.planning.gpus import GpuRequest, free_gpus, gpus_wanted, without_smallest
from deployer.planning.shares import cache_of, share_of
from deployer.planning.sizing import card_of, is_sure, leaving_layers, serving_of, sized_model
from deployer.spec.language import Service
from deployer.spec.project import Project
from deployer.values.estimate import Estimate, Fit
from deployer.values.facts import HostFacts
from deployer.values.gpu_facts import Gpu
from deployer.values.model_shape import ModelShape

TOO_LARGE = "does-not-fit"
FIXED = (
    "heads-not-divisible",
    "group-not-divisible",
    "not-enough-free",
    "reserve-not-kept",
    "dtype-unsupported",
    "value-refused",
)  # by `rule_fixes`
KNOWN_OTHERWISE = ("format-doubtful", "format-refused", "option-refused", "too-few-gpus")  # other checks say it


@dataclass(frozen=True, slots=True)
class Kind:
    """All that an estimate of a service follows from on a host."""

    service: str
    overrides: tuple[int, ...]
    shape: ModelShape
    size: int
    card: Card
    gpus: int


class Fitting:
    def __init__(self, project: Project) -> None:
        self._project = project
        self._services: dict[tuple[str, tuple[int, ...]], Service] = {}
        self._estimates: dict[Hashable, Estimate] = {}
        self._groups: dict[Hashable, int | None] = {}
        self._too_large: set[str] = set()  # services that a host was refused for

    def gpus(self, request: GpuRequest, is_believed: Callable[[], bool]) -> tuple[str, ...] | str:
        """GPUs of a host on which a replica fits, or why there are none. `is_believed`: it fits on any, since it runs
        and nobody edited it."""
        choice, facts = request.choice, request.facts
        if is_automatic(choice):
            request = replace(request, group=partial(self._group_of, request, is_believed))
        first: str | None = None
        for _ in range(len(facts.gpus) + 1):  # kinds of GPUs, the smaller ones are tried first
            found = free_gpus(self._project, request)
            if isinstance(found, str):
                return first or found
            if not found and not request.had and choice.name in self._too_large:
                return "has no GPU, and it does not fit on those of others; `placement.gpus: none` puts it here"
            why_not = self.refusal(choice, facts, found)
            if why_not is None or is_believed():
                return found
            self._too_large.add(choice.name)
            first, request = first or why_not, without_smallest(request, found)
        return first or "has no GPU on which it fits"

    def _group_of(self, request: GpuRequest, is_believed: Callable[[], bool], free: list[Gpu]) -> int | None:
        """How many of the free GPUs one replica takes; None where it is not known. As many as it has, while that is
        enough or nobody edited it."""
        choice, facts, had = request.choice, request.facts, request.had
        kept = self._of(choice, facts, had)
        if (kept is not None and (kept.verdict is not Fit.NO or is_believed())) or (len(had) > 1 and is_believed()):
            return len(had)
        model = sized_model(choice, facts)
        card = self._card(free, facts) if model is not None else None
        if model is None or card is None or model.shape is None or model.weights is None:
            return None
        most = len(free) if all(gpu.parent is None for gpu in free) else 1  # a server works on one slice only
        kind = (Kind(choice.name, choice.overrides, model.shape, model.weights.parts.total, card, 0), most)
        if kind not in self._groups:
            serving = self._serving(choice, model, 1, card)
            forbids = _forbids(choice, facts)
            self._groups[kind] = None if serving is None else _smallest(model, serving, card, most, forbids=forbids)
        return self._groups[kind]

    def estimate(self, choice: ServiceChoice, facts: HostFacts, gpus: Iterable[Gpu]) -> Estimate | None:
        """Of one replica on these GPUs of the host; None where there is nothing to go by."""
        model = sized_model(choice, facts) if choice.backend.memory is not None else None
        mine = tuple(gpus) if model is not None else ()
        card = self._card(mine, facts) if mine else None
        if model is None or card is None or model.shape is None or model.weights is None:
            return None
        kind = Kind(choice.name, choice.overrides, model.shape, model.weights.parts.total, card, len(mine))
        if kind not in self._estimates:
            serving = self._serving(choice, model, len(mine), card)
            if serving is None:
                return None
            self._estimates[kind] = explained(model, serving, card)
        return self._estimates[kind]

    def shares(self, choice: ServiceChoice, facts: HostFacts) -> dict[str, int] | str:
        """GPU UUID -> bytes that a replica takes of it where it shares; or why that is not known."""
        found: dict[str, int] = {}
        count = gpus_wanted(choice, 0) or 1
        for gpu in facts.gpus:
            card = self._card([gpu], facts)
            estimate = self.estimate(choice, facts, [gpu] * count) if card is not None else None
            share = share_of(choice, self._service(choice), card, estimate) if card is not None else None
            if isinstance(share, str):
                return share
            if share is not None:
                found[gpu.uuid] = share
        return found

    def need(self, choice: ServiceChoice, facts: HostFacts, gpus: tuple[str, ...]) -> int | None:
        """Bytes that a replica needs of each of its GPUs; None where that is not known."""
        found = self._of(choice, facts, gpus) if gpus else None
        return found.terms.need if found is not None else None

    def cache_memory(self, choice: ServiceChoice, facts: HostFacts, gpus: tuple[str, ...], share: int) -> int | None:
        """Bytes of each GPU that its cache may have; None where that is not known."""
        return cache_of(share, self._of(choice, facts, gpus))

    def refusal(self, choice: ServiceChoice, facts: HostFacts, uuids: tuple[str, ...]) -> str | None:
        """Why a replica is not put on these GPUs, with the nearest change that works."""
        found = self._of(choice, facts, uuids)
        if found is None or found.verdict is not Fit.NO or not _forbids(choice, facts):
            return None
        problem = next(
            (p for p in found.problems if p.severity is Severity.ERROR and p.code not in KNOWN_OTHERWISE), None
        )
        if problem is None:
            return None
        if problem.code == TOO_LARGE:
            return f"{len(uuids)} x {found.gpu}: {problem.message}"
        return problem.message if problem.code in FIXED else f"{problem.message}; {problem.hint}"

    def fixes(self, choice: ServiceChoice, facts: HostFacts, free: list[Gpu]) -> tuple[Fix, ...]:
        """Single options with which a replica would fit on some of these GPUs, the nearest first."""
        model = sized_model(choice, facts) if choice.backend.memory is not None else None
        card = self._card(free, facts) if model is not None else None
        asked = gpus_wanted(choice, 0) or 1
        serving = self._serving(choice, model, asked, card)
        if model is None or card is None or serving is None or model.shape is None or model.weights is None:
            return ()
        if is_automatic(choice):
            serving = smallest_group(model, serving, card, len(free))
        elif serving.gpus > len(free):
            return ()
        broken = [p for p in estimate(model, serving, card).problems if p.severity is Severity.ERROR]
        if broken:
            return tuple(rule_fixes(model, serving, card, broken))
        return tuple(fixes(model, serving, card, len(free)))

    def warnings(self, choice: ServiceChoice, facts: HostFacts, uuids: tuple[str, ...]) -> tuple[Diagnostic, ...]:
        """What is worth a look of a replica that was put there."""
        found = self._of(choice, facts, uuids)
        problems = found.problems if found is not None else ()
        said = (said_in_plans(problem, choice.backend, choice.service.options.quantization) for problem in problems)
        return tuple(
            replace(problem, severity=Severity.WARNING)
            for problem in said
            if problem.severity is not Severity.INFO and problem.code not in KNOWN_OTHERWISE
        )

    def _serving(self, choice: ServiceChoice, model: SizedModel | None, gpus: int, card: Card | None) -> Serving | None:
        """None where too little is known, or the spec says things that cannot be weighed."""
        if card is None or model is None or model.shape is None:
            return None
        service = self._service(choice)
        found = serving_of(choice, service, gpus, card.memory)
        return leaving_layers(found, service, model.shape) if found is not None else None

    def _service(self, choice: ServiceChoice) -> Service:
        """With what the spec says of its backend, also where that was chosen for it."""
        key = (choice.name, choice.overrides)
        if key not in self._services:
            self._services[key] = self._project.with_backend(choice.name, choice.backend_name, choice.overrides)
        return self._services[key]

    def _card(self, gpus: Iterable[Gpu], facts: HostFacts) -> Card | None:
        return card_of(gpus, facts, self._project.spec.hosts[facts.name].kept_gpu_memory)

    def _of(self, choice: ServiceChoice, facts: HostFacts, uuids: tuple[str, ...]) -> Estimate | None:
        return self.estimate(choice, facts, (gpu for gpu in facts.gpus if gpu.uuid in uuids))


def _smallest(model: SizedModel, serving: Serving, card: Card, count: int, *, forbids: bool) -> int:
    """The smallest group on which it fits; where it fits on none, the largest one if that is refused, else one GPU."""
    chosen = smallest_group(model, serving, card, count)
    fits = estimate(model, chosen, card).verdict in (Fit.FITS, Fit.TIGHT)
    return chosen.tensor if fits or forbids else groups(serving, 1)[0]


def _forbids(choice: ServiceChoice, facts: HostFacts) -> bool:
    """Its weights are counted without doubt; of a GGUF file only the size is known, with what stays on the host."""
    path = choice.path_on(facts)
    works = choice.backend.memory is not None and choice.backend.memory.works != "graph"
    return works and path is not None and path.shape is not None and is_sure(path.shape)
