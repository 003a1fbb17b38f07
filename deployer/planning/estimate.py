"""Whether a model fits on GPUs, in which context length, over how many of them. Pure arithmetic of what is known."""

from __future__ import annotations

from deployer.dataclass import replace
from deployer.errors import Diagnostic, Severity
from deployer.planning.estimate_budget import budget_of, taken_of
from deployer.planning.estimate_cache import Held, bytes_per_token, cache_bits, cache_bytes
from deployer.planning.estimate_request import ANY_CONTEXT, GIB, Card, Serving, SizedModel
from deployer.planning.estimate_rules import broken_rules
from deployer.planning.estimate_terms import activation_bytes, graph_bytes, lora_bytes, overhead_bytes
from deployer.planning.estimate_unknowns import unknowns
from deployer.planning.estimate_weights import loaded, weights_of_gpu
from deployer.values.estimate import Estimate, Fit, Terms

WIDEST = (1, 2, 4, 8)  # groups that people build; a model may forbid some
MOST_TRIED = 64


def estimate(model: SizedModel, serving: Serving, card: Card | None, count: int | None = None) -> Estimate:
    """`count`: of GPUs that are at hand; None: as many as it takes. Never raises for what is not known."""
    problems = (*broken_rules(model, serving, card, count), *unknowns(model, serving, card))
    context = serving.context_on(card, model.shape)
    terms = terms_of(model, serving, card, context)
    budget = _budget(serving, card, terms)
    problems = (*problems, *_of_reserve(serving, card, terms))
    forbidden = any(problem.severity is Severity.ERROR for problem in problems)
    longest = 0 if forbidden else longest_context(model, serving, card)
    return Estimate(
        model=model.name,
        parameters=model.weights.parameters if model.weights is not None else None,
        backend=serving.backend.name,
        gpu=card.name if card is not None else None,
        count=count or serving.gpus,
        tensor_parallel=serving.tensor,
        pipeline_parallel=serving.stages,
        context=context,
        sequences=serving.sequences,
        kv_bytes_per_token=_per_token(model, serving),
        terms=terms,
        budget=budget,
        max_context=longest,
        verdict=Fit.NO if forbidden else judge(terms, budget),
        problems=problems,
    )


def _of_reserve(serving: Serving, card: Card | None, terms: Terms) -> tuple[Diagnostic, ...]:
    """A server that takes what it finds free, for its cache: also what the spec keeps for others."""
    memory = serving.backend.memory
    if card is None or not card.kept or memory is None or memory.bound in ("total", "needed") or terms.need is None:
        return ()
    taken = taken_of(card, serving, memory, serving.batch_on(card, memory), terms)
    if taken <= card.room:
        return ()
    kept = f"{card.room / GIB:.1f} GiB beside {card.kept / GIB:.1f} GiB of `reserve.gpu_memory`"
    message = f"{card.name} has {kept}, and `{serving.backend.name}` takes up to {taken / GIB:.1f} GiB"
    return (Diagnostic("reserve-not-kept", message, hint="lower `gpu_memory_fraction`"),)


def fraction_that_keeps(model: SizedModel, serving: Serving, card: Card) -> float | None:
    """The largest memory fraction, in hundredths, with which a server leaves what is reserved."""
    memory = serving.backend.memory
    terms = terms_of(model, serving, card, serving.context_on(card, model.shape))
    for hundredths in range(99 if memory is not None else 0, 0, -1):
        lower = replace(serving, fraction=hundredths / 100)
        if not _of_reserve(lower, card, terms):
            return hundredths / 100
    return None


def judge(terms: Terms, budget: int | None) -> Fit:
    """By the band in which the need lies."""
    if terms.band is None or budget is None:
        return Fit.UNKNOWN
    low, high = terms.band
    return Fit.FITS if high <= budget else Fit.NO if low > budget else Fit.TIGHT


def terms_of(model: SizedModel, serving: Serving, card: Card | None, context: int | None) -> Terms:
    """What is known of the need of the fullest GPU."""
    shape, memory = model.shape, serving.backend.memory
    if shape is None or memory is None:
        weights = model.weights
        alone = weights is not None and memory is not None and serving.gpus == 1
        return Terms(weights=weights.parts.total if weights is not None and alone else None)
    batch = serving.batch_on(card, memory)
    parts = loaded(model.weights, shape, serving.dtype, serving.quantization) if model.weights is not None else None
    bits = cache_bits(serving.kv_dtype)
    cached: int | None = 0
    if shape.cache:
        held = Held(context or 0, serving.sequences, batch.tokens)
        known = bits is not None and context is not None
        cached = cache_bytes(shape, serving.spread, bits, memory, held) if known and bits is not None else None
    return Terms(
        weights=weights_of_gpu(parts, shape, serving.spread, embeds_on_host=memory.embeds_on_host) if parts else None,
        kv_cache=cached,
        activation=activation_bytes(shape, serving, memory, batch, context or 0),
        graphs=graph_bytes(shape, serving, memory, batch),
        overhead=overhead_bytes(serving, memory),
        lora=lora_bytes(shape, serving),
    )


def _budget(serving: Serving, card: Card | None, terms: Terms) -> int | None:
    memory = serving.backend.memory
    if card is None or memory is None:
        return None
    return budget_of(card, serving, memory, serving.batch_on(card, memory), terms)


def _per_token(model: SizedModel, serving: Serving) -> int | None:
    bits = cache_bits(serving.kv_dtype)
    known = model.shape is not None and bits is not None
    return bytes_per_token(model.shape, serving.spread, bits) if known and model.shape and bits is not None else None


def longest_context(model: SizedModel, serving: Serving, card: Card | None, *, surely: bool = False) -> int | None:
    """The most tokens of each sequence for which the need is within the budget, `surely` with all of its band, in whole
    pages of the cache, and no more than the model was made for. 0: not even one page is; None: not known."""
    shape, memory = model.shape, serving.backend.memory
    if shape is None or memory is None or card is None or model.weights is None:
        return None
    most = shape.context or ANY_CONTEXT
    if has_room(model, serving, card, most, surely):
        return most
    low, high = 0, -(-most // memory.block)  # pages: that there is room for, that there is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if has_room(model, serving, card, middle * memory.block, surely) else (low, middle)
    return low * memory.block


def has_room(model: SizedModel, serving: Serving, card: Card, context: int, surely: bool = False) -> bool:
    terms = terms_of(model, serving, card, context)
    budget = _budget(serving, card, terms)
    need = terms.band[1] if surely and terms.band is not None else terms.need
    return need is not None and budget is not None and need <= budget


def smallest_group(model: SizedModel, serving: Serving, card: Card | None, count: int | None) -> Serving:
    """With the smallest group of GPUs on which it fits; else the smallest on which it is tight, else the largest that
    the model allows. `count`: of GPUs that are at hand."""
    found: list[tuple[Serving, Fit]] = []
    for tensor in groups(serving, count):
        wider = replace(serving, tensor=tensor)
        if not any(p.severity is Severity.ERROR for p in broken_rules(model, wider, card, count)):
            found.append((wider, estimate(model, wider, card, count).verdict))
    for verdict in (Fit.FITS, Fit.TIGHT):
        fitting = next((wider for wider, its in found if its is verdict), None)
        if fitting is not None:
            return fitting
    return found[-1][0] if found and found[-1][1] is Fit.NO else serving


def groups(serving: Serving, count: int | None) -> tuple[int, ...]:
    """Sizes of tensor-parallel groups to try, the smallest first."""
    memory = serving.backend.memory
    if memory is None or memory.split == "none":
        return (1,)
    most = max(1, (count or max(WIDEST) * serving.stages) // serving.stages)
    sizes = range(1, min(most, MOST_TRIED) + 1) if count is not None else WIDEST
    return tuple(size for size in sizes if size <= most)
