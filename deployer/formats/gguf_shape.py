"""Metadata of a GGUF file read as a ModelShape. Believes nothing absurd.

Keys: ggml docs/gguf.md and llama.cpp's gguf-py/gguf/constants.py; what is kept of which layers: src/llama-model.cpp.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from deployer.formats.config_layers import HALF, MOST_HEADS, MOST_LAYERS, MOST_TOKENS, MOST_WIDTH, WHOLE
from deployer.formats.config_parts import MOST_EXPERTS
from deployer.formats.model_config import MOST_WORDS
from deployer.formats.numbers import FormatError, needed, number
from deployer.formats.text import one_line
from deployer.values.model_shape import CacheLayers, Experts, ModelShape

# Every how many layers one sees all tokens: `set_swa_pattern` of llama.cpp, where the file does not say it.
PATTERNS = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gemma-embedding": 6, "cohere2": 4, "gpt-oss": 2, "exaone4": 4}
ENCODERS = (
    "bert",
    "nomic-bert",
    "nomic-bert-moe",
    "jina-bert-v2",
    "jina-bert-v3",
    "neo-bert",
    "modern-bert",
    "t5encoder",
)


def gguf_shape(metadata: Mapping[str, Any]) -> ModelShape:
    """FormatError with what is wrong or missing."""
    kind = metadata.get("general.architecture")
    if not isinstance(kind, str):
        raise FormatError("it has no `general.architecture`")
    own = {key.removeprefix(f"{kind}."): value for key, value in metadata.items() if key.startswith(f"{kind}.")}
    layers, hidden = needed(own, ("block_count",), MOST_LAYERS), needed(own, ("embedding_length",), MOST_WIDTH)
    heads = max(_each(own, "attention.head_count", layers), default=0) or 1
    kv_heads = _each(own, "attention.head_count_kv", layers) or [heads] * layers
    width = number(own, ("attention.key_length",), MOST_WIDTH) or max(1, hidden // heads)
    wide = max(_each(own, "feed_forward_length", layers), default=0)
    return ModelShape(
        architecture=one_line(kind, 80),
        kind=one_line(kind, 80),
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=max(kv_heads) or 1,
        head_width=width,
        intermediate=wide,
        vocabulary=number(own, ("vocab_size",), MOST_WORDS) or 0,
        cache=() if kind in ENCODERS else _cache(own, kind, kv_heads, width),
        context=number(own, ("context_length",), MOST_TOKENS),
        experts=_experts(own, layers, wide),
        encoder=kind in ENCODERS,
        is_gguf=True,
    )


def _each(own: Mapping[str, Any], key: str, layers: int) -> list[int]:
    """One number a layer, also where the file has one for all; empty where it has none."""
    value = own.get(key)
    if isinstance(value, tuple):
        return [number({key: one}, (key,), MOST_WIDTH, 0) or 0 for one in value[:layers]]
    alike = number(own, (key,), MOST_WIDTH, 0)
    return [] if alike is None else [alike] * layers


def _cache(own: Mapping[str, Any], kind: str, kv_heads: list[int], width: int) -> tuple[CacheLayers, ...]:
    value = number(own, ("attention.value_length",), MOST_WIDTH) or width
    if "attention.key_length_mla" in own:  # one latent a token, of which the values are a part
        return (CacheLayers("latent", len(kv_heads), 1, width),)
    window = number(own, ("attention.sliding_window",), MOST_TOKENS, 0)
    interval = number(own, ("full_attention_interval",), MOST_LAYERS)
    groups: Counter[tuple[str, int]] = Counter()
    for index, heads in enumerate(kv_heads):
        if heads == 0 or (interval is not None and (index + 1) % interval):
            groups["state", 0] += 1
        else:
            groups["sliding" if window and _slides(own, kind, index) else "full", heads] += 1
    state = _state_bytes(own) if any(name == "state" for name, _ in groups) else 0
    return tuple(
        CacheLayers("state", layers, state_bytes=state)
        if name == "state"
        else CacheLayers("sliding" if name == "sliding" else "full", layers, heads, width + value,
                         window if name == "sliding" else None)
        for (name, heads), layers in sorted(groups.items())
    )  # fmt: skip


def _slides(own: Mapping[str, Any], kind: str, index: int) -> bool:
    said = own.get("attention.sliding_window_pattern")
    if isinstance(said, tuple):
        return bool(said[index]) if index < len(said) else False
    pattern = number(own, ("attention.sliding_window_pattern",), MOST_LAYERS) or PATTERNS.get(kind)
    return pattern is not None and (index + 1) % pattern != 0


def _state_bytes(own: Mapping[str, Any]) -> int:
    inner = number(own, ("ssm.inner_size",), MOST_WIDTH) or 0
    state = number(own, ("ssm.state_size",), MOST_WIDTH) or 0
    kernel = number(own, ("ssm.conv_kernel", "shortconv.l_cache"), 1 << 10) or 1
    groups = number(own, ("ssm.group_count",), MOST_HEADS, 0) or 0
    return inner * state * WHOLE + (kernel - 1) * (inner + 2 * groups * state) * WHOLE or kernel * HALF


def _experts(own: Mapping[str, Any], layers: int, wide: int) -> Experts | None:
    count = number(own, ("expert_count",), MOST_EXPERTS, 0)
    if not count:
        return None
    width = number(own, ("expert_feed_forward_length",), MOST_WIDTH) or wide
    dense = number(own, ("leading_dense_block_count",), MOST_LAYERS, 0) or 0
    shared = number(own, ("expert_shared_feed_forward_length",), MOST_WIDTH, 0) or 0
    used = number(own, ("expert_used_count",), MOST_EXPERTS, 0) or 1
    return Experts(count, used, width, max(0, layers - dense), shared)
