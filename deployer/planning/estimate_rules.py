"""What forbids a model on a GPU whatever its memory is, each with the nearest change that works.

Sources: vLLM 0.33 vllm/config/model.py `verify_with_parallel_config`, vllm/config/cache.py, and `get_min_capability` of
its quantizations; "is not divisible by" of vllm/model_executor/layers/quantization.
"""

from __future__ import annotations

from collections.abc import Iterator

from deployer.backends.base import Refused
from deployer.catalog.gpus import Capability
from deployer.catalog.quantizations import BFLOAT16_FROM, FP8_CACHE_FROM, QUANTIZATIONS
from deployer.errors import Diagnostic, Severity, warning
from deployer.planning.estimate_options import refused_values
from deployer.planning.estimate_request import GIB, Card, Serving, SizedModel
from deployer.values.model_shape import ModelShape, Quantized

FP8_CACHES = ("fp8", "fp8_e4m3", "fp8_e5m2", "fp8_e4m3fn")
LARGE_GROUP = 4  # GPUs that a PCIe bus slows down


def broken_rules(
    model: SizedModel, serving: Serving, card: Card | None, count: int | None = None
) -> tuple[Diagnostic, ...]:
    """Errors forbid it; warnings are worth a look."""
    found = [*_of_gpus(serving, count), *refused_values(serving)]
    shape = model.shape
    if shape is not None:
        found += [*_of_format(model.name, shape, serving), *_of_groups(model.name, shape, serving)]
        found += [*_of_context(model.name, shape, serving)]
        if card is not None:
            found += [*_of_card(model.name, shape, serving, card)]
    return tuple(found)


def _of_gpus(serving: Serving, count: int | None) -> Iterator[Diagnostic]:
    backend = serving.backend
    if count is not None and serving.gpus > count:
        message = f"it takes {serving.gpus} GPUs and there are {count}"
        yield Diagnostic("too-few-gpus", message, hint=f"lower `tensor_parallel` to {max(1, count // serving.stages)}")
    for option, size in (("tensor_parallel", serving.tensor), ("pipeline_parallel", serving.stages)):
        mapping = backend.options[option]
        if size > 1 and isinstance(mapping, Refused):
            message = f"`{backend.name}` has no `{option}`: {mapping.reason}"
            yield Diagnostic("option-refused", message, hint=f"set `{option}` to 1, or take another backend")


def _of_format(name: str, shape: ModelShape, serving: Serving) -> Iterator[Diagnostic]:
    backend = serving.backend
    if shape.is_gguf and "gguf" not in backend.formats:
        message = f"`{name}` is a GGUF model, which `{backend.name}` is not known to load"
        yield warning("format-doubtful", message, hint="serve it with `llama.cpp`, or take its safetensors files")
    stored, asked = shape.quantized, serving.quantization
    known = stored is not None and asked is not None and {stored.method, asked} <= QUANTIZATIONS.keys()
    if known and stored and asked and not _alike(stored, asked):
        message = f"`{name}` is quantized by {stored.method}, and `quantization` is {asked}"
        yield warning("quantization-differs", message, hint="leave `quantization` out")
    if not shape.is_gguf and backend.formats == ("gguf",):
        message = f"`{backend.name}` loads GGUF files, and `{name}` is none"
        yield Diagnostic("format-refused", message, hint="serve it with `vllm`, or take a GGUF file of it")


def _alike(stored: Quantized, asked: str) -> bool:
    """The same weights, whichever kernels work on them."""
    return stored.method.removesuffix("_marlin") == asked.removesuffix("_marlin")


def _of_groups(name: str, shape: ModelShape, serving: Serving) -> Iterator[Diagnostic]:
    """What a tensor-parallel group, or the stages of a pipeline, cannot divide."""
    size = serving.spread.tensor
    if serving.spread.stages > shape.layers:
        message = f"`{name}` has {shape.layers} layers, too few for {serving.spread.stages} GPUs one after another"
        yield Diagnostic("too-many-stages", message, hint=f"use at most {shape.layers}")
    if size == 1:
        return
    if shape.heads % size or not _shares(shape, size):
        what = f"{shape.heads} attention heads" if shape.heads % size else f"{shape.kv_heads} heads of keys and values"
        message = f"`{name}` has {what}, which {size} GPUs cannot share evenly"
        yield Diagnostic("heads-not-divisible", message, hint=_nearest(shape, size))
    elif (part := uneven_part(shape, size, experts=not serving.expert_parallel)) is not None:
        message = f"`{name}` is quantized in groups, and {size} GPUs would cut one: {part}"
        yield Diagnostic("group-not-divisible", message, hint=_nearest(shape, size))
    odd = next((tower.heads for tower in shape.towers if tower.heads and tower.heads % size), None)
    if odd is not None:
        message = f"the vision tower of `{name}` has {odd} heads, which {size} GPUs cannot share evenly"
        hint = "keep the tower whole on each GPU, with vLLM by `args: [--mm-encoder-tp-mode, data]`"
        yield warning("tower-not-divisible", message, hint=hint)


def _shares(shape: ModelShape, size: int) -> bool:
    """Each GPU has as many heads of keys and values, or each head is on as many GPUs."""
    return shape.latent is not None or shape.kv_heads % size == 0 or size % shape.kv_heads == 0


def uneven_part(shape: ModelShape, size: int, *, experts: bool = True) -> str | None:
    """The part of a quantized layer that cannot be cut into so many pieces of whole groups, in words. `experts`: they
    are cut, too."""
    stored = shape.quantized
    group = None if stored is None else stored.block or stored.group
    if stored is None or group is None:
        return None
    widths = {} if stored.experts_only else {"MLP": shape.intermediate}
    if shape.latent is None and not stored.experts_only:
        widths["attention"] = shape.heads * shape.head_width
    if shape.experts is not None and not stored.experts_only:
        widths |= {"expert": shape.experts.intermediate} if experts else {}
        if shape.experts.layers == shape.layers:
            del widths["MLP"]
    for name, width in sorted(widths.items()):
        if width % size or (width // size) % group:
            return f"{name} width {width} in {size} parts is {width / size:g}, not a multiple of {group}"
    return None


def is_divisible(shape: ModelShape, size: int) -> bool:
    return not shape.heads % size and _shares(shape, size) and uneven_part(shape, size) is None


def near_sizes(shape: ModelShape, size: int) -> tuple[int, ...]:
    """The sizes of groups next to it that work."""
    below = next((n for n in range(size - 1, 0, -1) if is_divisible(shape, n)), 1)
    above = next((n for n in range(size + 1, 2 * size + 1) if is_divisible(shape, n)), None)
    return (below,) if above is None else (below, above)


def _nearest(shape: ModelShape, size: int) -> str:
    return "set `tensor_parallel` to " + " or ".join(map(str, near_sizes(shape, size)))


def _of_context(name: str, shape: ModelShape, serving: Serving) -> Iterator[Diagnostic]:
    if serving.context is not None and shape.context is not None and serving.context > shape.context:
        message = f"`{name}` was made for {shape.context} tokens, and {serving.context} are asked for"
        yield warning("context-too-long", message, hint=f"set `context_length` to {shape.context} or less")


def _of_card(name: str, shape: ModelShape, serving: Serving, card: Card) -> Iterator[Diagnostic]:
    group = serving.spread.tensor
    if group >= LARGE_GROUP and card.links is None and card.capability is not None:
        message = f"{group} GPUs of type {card.name} work together over PCIe, without NVLink"
        yield warning("no-nvlink", message, hint="expect slow answers, or use `pipeline_parallel` over some of them")
    yield from _of_free(serving, card)
    least = serving.backend.capability
    if card.capability is not None and least is not None and card.capability < least:
        message = f"`{serving.backend.name}` needs compute capability {_text(least)}, {card.name} has "
        severity = Severity.ERROR if serving.version is None else Severity.WARNING
        hint = "take newer GPUs, or an older `version` of it"
        yield Diagnostic("gpu-too-old", message + _text(card.capability), hint=hint, severity=severity)
    if card.capability is None or shape.is_gguf:
        return
    yield from _of_types(name, shape, serving, card.name, card.capability)


def _of_free(serving: Serving, card: Card) -> Iterator[Diagnostic]:
    """A server that takes its share of the GPU when it starts, whatever its model needs."""
    memory = serving.backend.memory
    fraction = serving.fraction_of(memory) if memory is not None and memory.bound == "total" else None
    if fraction is None or card.free is None or card.free >= fraction * card.memory:
        return
    kept = f" beside {card.kept / GIB:.1f} GiB of `reserve.gpu_memory`" if card.kept else ""
    message = f"{card.name} has {card.free / GIB:.1f} GiB free{kept}, and `{serving.backend.name}` takes "
    hint = f"free it, or set `gpu_memory_fraction` to {card.free * 100 // max(1, card.memory) / 100}"
    yield Diagnostic("not-enough-free", f"{message}{fraction * card.memory / GIB:.1f} GiB when it starts", hint=hint)


def _of_types(
    name: str, shape: ModelShape, serving: Serving, card: str, capability: Capability
) -> Iterator[Diagnostic]:
    """Number types that the GPU does not have."""
    dtype = serving.dtype if serving.dtype not in (None, "auto") else None
    if capability < BFLOAT16_FROM and (dtype or shape.dtype) in ("bfloat16", "bf16"):
        message = f"{card} has no bfloat16 (compute capability {_text(capability)}, it takes {_text(BFLOAT16_FROM)})"
        severity = Severity.ERROR if dtype is not None else Severity.WARNING
        yield Diagnostic("dtype-unsupported", message, hint="set `dtype` to float16", severity=severity)
    method = serving.quantization or (shape.quantized.method if shape.quantized is not None else "")
    known = QUANTIZATIONS.get(method)
    if known is not None and capability < known.least:
        message = f"{card} cannot use {method} (compute capability {_text(capability)}, it takes {_text(known.least)})"
        other = next((q for q in ("awq", "gptq") if QUANTIZATIONS[q].least <= capability), None)
        hint = f"take a checkpoint in {other}" if other is not None else "take a checkpoint that is not quantized"
        yield Diagnostic("quantization-unsupported", message, hint=hint)
    elif known is not None and known.fast is not None and capability < known.fast:
        message = f"{card} stores {method} weights and computes in 16 bits (fast from {_text(known.fast)} on)"
        yield Diagnostic("weight-only", message, severity=Severity.INFO)
    if serving.kv_dtype in FP8_CACHES and capability < FP8_CACHE_FROM:
        message = f"a cache in {serving.kv_dtype} takes compute capability {_text(FP8_CACHE_FROM)}, {card} has "
        hint = "leave `kv_cache_dtype` out"
        yield warning("kv-dtype-unsupported", message + _text(capability), hint=hint)


def _text(capability: Capability) -> str:
    return f"{capability[0]}.{capability[1]}"
