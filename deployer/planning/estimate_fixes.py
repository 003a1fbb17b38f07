"""What to change so that a model fits: each of the nearest changes was estimated, and fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from deployer.backends.base import Backend, Flag, InTemplate, Refused
from deployer.catalog.quantizations import FP8_CACHE_FROM, QUANTIZATIONS
from deployer.dataclass import replace
from deployer.errors import Diagnostic, Severity, warning
from deployer.planning.estimate import estimate, fraction_that_keeps, longest_context
from deployer.planning.estimate_request import GIB, Card, Serving, SizedModel
from deployer.planning.estimate_rules import broken_rules, near_sizes
from deployer.values.estimate import Estimate, Fit

MOST_GPUS = 16
Fix = tuple[tuple[str, Any], ...]  # options of a service, and the values with which it fits
ROUND = 1024  # tokens
SMALLER_CACHES = ("fp8", "q8_0")
SMALLER_WEIGHTS = ("fp8", "awq", "gptq")
HIGHER_FRACTION = 0.95


def explained(model: SizedModel, serving: Serving, card: Card | None, count: int | None = None) -> Estimate:
    """The estimate, and where it does not surely fit, what would."""
    found = estimate(model, serving, card, count)
    if found.verdict not in (Fit.NO, Fit.TIGHT) or card is None:
        return found
    if any(problem.severity is Severity.ERROR for problem in found.problems):
        return found
    changes = [fix_text(fix, serving) for fix in fixes(model, serving, card, count)]
    return replace(found, problems=(*found.problems, _refusal(found, changes)))


def fix_text(fix: Fix, serving: Serving) -> str:
    """Options by the flags that say them in `args`."""
    return " with ".join(f"`{serving.flags.get(option, option)}` {value}" for option, value in fix)


def _refusal(found: Estimate, changes: list[str]) -> Diagnostic:
    low, high = found.terms.band or (0, 0)
    need, budget = _size(found.terms.need or 0), _size(found.budget or 0)
    hint = f"it fits with {one_of(changes)}" if changes else "take a smaller model, or GPUs with more memory"
    if found.verdict is Fit.NO:
        message = f"`{found.model}` needs {need} of each GPU, and `{found.backend}` may take {budget}"
        return Diagnostic("does-not-fit", message, hint=hint)
    message = f"`{found.model}` needs {need} of each GPU, which is too near to the {budget} that it may take to be sure"
    return warning("fits-barely", f"{message} (between {_size(low)} and {_size(high)})", hint=hint)


def fixes(model: SizedModel, serving: Serving, card: Card, count: int | None = None) -> Iterator[Fix]:
    """Single changes with which it fits, the smallest first; where there is none, pairs of them."""
    single = [*_single_fixes(model, serving, card, count)]
    yield from single or _pairs(model, serving, card)


def _single_fixes(model: SizedModel, serving: Serving, card: Card, count: int | None) -> Iterator[Fix]:
    longest = longest_context(model, serving, card, surely=True) or 0
    asked = serving.context_on(card, model.shape) or 0
    longest = longest // ROUND * ROUND or longest
    if 0 < longest < asked:
        yield (("context_length", longest),)
    for fix, changed in _changes(model, serving, card):
        if estimate(model, changed, card).verdict is Fit.FITS:
            yield (fix,)
    layers = _fewer_layers(model, serving, card)
    if layers:
        yield (("cpu_offload", layers),)
    wider = _wider(model, serving, card, count)
    if wider is not None:
        yield wider


def _pairs(model: SizedModel, serving: Serving, card: Card) -> Iterator[Fix]:
    """A change, and a shorter text."""
    asked = serving.context_on(card, model.shape) or 0
    for fix, changed in _changes(model, serving, card):
        longest = (longest_context(model, changed, card, surely=True) or 0) // ROUND * ROUND
        if 0 < longest < asked and estimate(model, replace(changed, context=longest), card).verdict is Fit.FITS:
            yield fix, ("context_length", longest)


def _changes(model: SizedModel, serving: Serving, card: Card) -> Iterator[tuple[tuple[str, Any], Serving]]:
    backend = serving.backend
    if model.shape is not None and model.shape.cache and serving.kv_dtype in (None, "auto", "float16", "bfloat16"):
        for kind in SMALLER_CACHES:
            new_enough = kind != "fp8" or (card.capability or FP8_CACHE_FROM) >= FP8_CACHE_FROM
            if _takes(backend, "kv_cache_dtype", kind) and new_enough:
                yield ("kv_cache_dtype", kind), replace(serving, kv_dtype=kind)
    is_plain = model.shape is not None and not model.shape.is_gguf and model.shape.quantized is None
    if is_plain and serving.quantization is None:
        for kind in SMALLER_WEIGHTS:
            least = QUANTIZATIONS[kind].least
            if _takes(backend, "quantization", kind) and (card.capability or least) >= least:
                yield ("quantization", kind), replace(serving, quantization=kind)
    memory = backend.memory
    if memory is not None and memory.bound == "total" and (serving.fraction_of(memory) or 1) < HIGHER_FRACTION:
        yield ("gpu_memory_fraction", HIGHER_FRACTION), replace(serving, fraction=HIGHER_FRACTION)


def _fewer_layers(model: SizedModel, serving: Serving, card: Card) -> int:
    """How many layers fit onto the GPUs, of a server that leaves the others to the processor; 0: none."""
    memory, shape = serving.backend.memory, model.shape
    if memory is None or memory.works != "graph" or shape is None:
        return 0

    def fits(layers: int) -> bool:
        part = replace(serving, share=Fraction(layers, shape.layers))
        return estimate(model, part, card).verdict is Fit.FITS

    low, high = 0, int(shape.layers * serving.share)  # layers that fit, layers that do not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _takes(backend: Backend, option: str, value: str) -> bool:
    """Its server has the option, with that value."""
    mapping = backend.options[option]
    if isinstance(mapping, Flag | InTemplate):
        return (mapping.values is not None and value in mapping.values) or (mapping.values is None and value != "q8_0")
    return not isinstance(mapping, Refused)


def _wider(model: SizedModel, serving: Serving, card: Card, count: int | None) -> Fix | None:
    """More GPUs for each replica. Those that are not at hand are not offered."""
    most = MOST_GPUS if count is None else min(count, MOST_GPUS)
    for tensor in range(serving.tensor + 1, most // serving.stages + 1):
        wider = replace(serving, tensor=tensor)
        if any(problem.severity is Severity.ERROR for problem in broken_rules(model, wider, card)):
            continue
        if estimate(model, wider, card).verdict is Fit.FITS:
            return (("tensor_parallel", tensor),)
    return None


def rule_fixes(model: SizedModel, serving: Serving, card: Card, broken: Iterable[Diagnostic]) -> Iterator[Fix]:
    """Options with which a rule that memory has no part in is kept."""
    for problem in broken:
        match problem.code:
            case "heads-not-divisible" | "group-not-divisible" if model.shape is not None:
                yield from ((("tensor_parallel", size),) for size in near_sizes(model.shape, serving.tensor))
            case "not-enough-free" if card.free is not None:
                yield (("gpu_memory_fraction", card.free * 100 // max(1, card.memory) / 100),)
            case "reserve-not-kept" if (fraction := fraction_that_keeps(model, serving, card)) is not None:
                yield (("gpu_memory_fraction", fraction),)
            case "value-refused" if serving.kv_dtype is not None:
                yield (("kv_cache_dtype", None),)
            case "dtype-unsupported":
                yield (("dtype", "float16"),)


def one_of(changes: Sequence[str]) -> str:
    return changes[0] if len(changes) == 1 else f"{', '.join(changes[:-1])} or {changes[-1]}"


def _size(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
