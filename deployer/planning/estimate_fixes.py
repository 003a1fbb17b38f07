"""What to change so that a model fits: each of the nearest changes was estimated, and fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from deployer.backends.base import Backend, Flag, InTemplate, Refused
from deployer.catalog.quantizations import FP8_CACHE_FROM, QUANTIZATIONS
from deployer.errors import Diagnostic, Severity, warning
from deployer.planning.estimate import estimate, longest_context
from deployer.planning.estimate_request import GIB, Card, Serving, SizedModel
from deployer.planning.estimate_rules import broken_rules
from deployer.values.estimate import Estimate, Fit

MOST_GPUS = 16
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
    return replace(found, problems=(*found.problems, _refusal(found, [*fixes(model, serving, card, count)])))


def _refusal(found: Estimate, changes: list[str]) -> Diagnostic:
    low, high = found.terms.band or (0, 0)
    need, budget = _size(found.terms.need or 0), _size(found.budget or 0)
    hint = f"it fits with {_one_of(changes)}" if changes else "take a smaller model, or GPUs with more memory"
    if found.verdict is Fit.NO:
        message = f"`{found.model}` needs {need} of each GPU, and `{found.backend}` may take {budget}"
        return Diagnostic("does-not-fit", message, hint=hint)
    message = f"`{found.model}` needs {need} of each GPU, which is too near to the {budget} that it may take to be sure"
    return warning("fits-barely", f"{message} (between {_size(low)} and {_size(high)})", hint=hint)


def fixes(model: SizedModel, serving: Serving, card: Card, count: int | None = None) -> Iterator[str]:
    """Single changes with which it fits, the smallest first."""
    longest = longest_context(model, serving, card, surely=True) or 0
    asked = serving.context_on(card, model.shape) or 0
    longest = longest // ROUND * ROUND or longest
    if 0 < longest < asked:
        yield f"`context_length` {longest}"
    for text, changed in _changes(model, serving, card):
        if estimate(model, changed, card).verdict is Fit.FITS:
            yield text
    layers = _fewer_layers(model, serving, card)
    if layers:
        yield f"`cpu_offload` {layers}"
    wider = _wider(model, serving, card, count)
    if wider is not None:
        yield wider


def _changes(model: SizedModel, serving: Serving, card: Card) -> Iterator[tuple[str, Serving]]:
    backend = serving.backend
    if model.shape is not None and model.shape.cache and serving.kv_dtype in (None, "auto", "float16", "bfloat16"):
        for kind in SMALLER_CACHES:
            new_enough = kind != "fp8" or (card.capability or FP8_CACHE_FROM) >= FP8_CACHE_FROM
            if _takes(backend, "kv_cache_dtype", kind) and new_enough:
                yield f"`kv_cache_dtype` {kind}", replace(serving, kv_dtype=kind)
    is_plain = model.shape is not None and not model.shape.is_gguf and model.shape.quantized is None
    if is_plain and serving.quantization is None:
        for kind in SMALLER_WEIGHTS:
            least = QUANTIZATIONS[kind].least
            if _takes(backend, "quantization", kind) and (card.capability or least) >= least:
                yield f"`quantization` {kind}", replace(serving, quantization=kind)
    memory = backend.memory
    if memory is not None and memory.bound == "total" and (serving.fraction_of(memory) or 1) < HIGHER_FRACTION:
        yield f"`gpu_memory_fraction` {HIGHER_FRACTION}", replace(serving, fraction=HIGHER_FRACTION)


def _fewer_layers(model: SizedModel, serving: Serving, card: Card) -> int:
    """How many layers fit onto the GPUs, of a server that leaves the others to the processor; 0: none."""
    memory, shape = serving.backend.memory, model.shape
    if memory is None or memory.works != "graph" or shape is None or serving.share != 1:
        return 0

    def fits(layers: int) -> bool:
        part = replace(serving, share=Fraction(layers, shape.layers))
        return estimate(model, part, card).verdict is Fit.FITS

    low, high = 0, shape.layers  # layers that fit, layers that do not
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


def _wider(model: SizedModel, serving: Serving, card: Card, count: int | None) -> str | None:
    """More GPUs for each replica. Those that are not at hand are not offered."""
    most = MOST_GPUS if count is None else min(count, MOST_GPUS)
    for tensor in range(serving.tensor + 1, most // serving.stages + 1):
        wider = replace(serving, tensor=tensor)
        if any(problem.severity is Severity.ERROR for problem in broken_rules(model, wider, card)):
            continue
        if estimate(model, wider, card).verdict is Fit.FITS:
            return f"`tensor_parallel` {tensor}"
    return None


def _one_of(changes: list[str]) -> str:
    return changes[0] if len(changes) == 1 else f"{', '.join(changes[:-1])} or {changes[-1]}"


def _size(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
