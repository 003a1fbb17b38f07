"""Which layers of a model keep what of a sequence, by its config.json.

Keys and defaults are those of the configuration classes of transformers 4.57 and 5; the state of layers without
attention is shaped as in vLLM's vllm/model_executor/layers/mamba/mamba_utils.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deployer.dataclass import dataclass
from deployer.formats.numbers import FormatError, number, section, words
from deployer.values.model_shape import CacheLayers

MOST_LAYERS = 2048
MOST_WIDTH = 1 << 20
MOST_TOKENS = 1 << 40
MOST_HEADS = 1 << 16
PATTERNS = {"gemma2": 2, "gemma3_text": 6, "gemma3": 6, "cohere2": 4}  # every how many layers one sees all tokens
PATTERN_LETTERS = {"*": "full", "M": "state", "-": "none", "E": "none"}  # of Nemotron-H
ONLY_STATE = ("mamba", "mamba2", "falcon_mamba", "rwkv", "rwkv6", "rwkv7")
BOTH = ("falcon_h1",)  # attention and a state side by side in every layer
HALF, WHOLE = 2, 4  # bytes of an element: of what a convolution keeps, of a state


@dataclass(frozen=True, slots=True)
class Kept:
    """Of one head of a model's attention: how many heads, and how wide keys and values are together."""

    heads: int
    width: int


def layer_kinds(config: Mapping[str, Any], kind: str, layers: int) -> list[str]:
    """`full`, `sliding`, `state` or `none` for each layer. FormatError where the config contradicts itself."""
    kinds = _said(config, kind, layers)
    if len(kinds) < layers:
        raise FormatError(f"it tells the kinds of {len(kinds)} of its {layers} layers")
    shared = number(config, ("num_kv_shared_layers",), layers, 0) or 0
    return [*kinds[: layers - shared], *("none" for _ in range(shared))]


def _said(config: Mapping[str, Any], kind: str, layers: int) -> list[str]:
    for key in ("layer_types", "layers_block_type"):
        named = words(config, key, MOST_LAYERS)
        if named:
            return [_kind_of(word) for word in named[:layers]]
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        return [PATTERN_LETTERS.get(letter, "none") for letter in pattern[:layers]]
    if kind in ONLY_STATE:
        return ["state"] * layers
    attending = _attending(config, layers)
    if attending is not None:
        return ["full" if index in attending else "state" for index in range(layers)]
    return [*_windowed(config, kind, layers)]


def _kind_of(word: str) -> str:
    if "sliding" in word:
        return "sliding"
    if word in ("mlp", "moe"):
        return "none"
    return "full" if "attention" in word and "linear" not in word else "state"


def _attending(config: Mapping[str, Any], layers: int) -> set[int] | None:
    """Indexes of the layers with attention, where the others have none; None where all have."""
    period = number(config, ("attn_layer_period",), MOST_LAYERS)
    if period is not None:
        offset = number(config, ("attn_layer_offset",), MOST_LAYERS, 0) or 0
        return {index for index in range(layers) if index % period == offset}
    interval = number(config, ("full_attention_interval",), MOST_LAYERS)
    if interval is not None:
        return {index for index in range(layers) if (index + 1) % interval == 0}
    listed = config.get("attn_layer_indices")
    first = 0
    linear = section(config, "linear_attn_config")
    if linear is not None:
        listed, first = linear.get("full_attn_layers"), 1
    if listed is None:
        return None
    if not isinstance(listed, list) or not all(isinstance(index, int) for index in listed):
        raise FormatError("its list of layers with attention is none")
    return {index - first for index in listed}


def _windowed(config: Mapping[str, Any], kind: str, layers: int) -> Iterator[str]:
    """Kinds of layers that all have attention."""
    slides = number(config, ("sliding_window",), MOST_TOKENS, 0)
    pattern = number(config, ("sliding_window_pattern", "_sliding_window_pattern"), MOST_LAYERS, 0)
    pattern = PATTERNS.get(kind) if pattern is None else pattern
    first = number(config, ("max_window_layers",), 1 << 20, 0) if "use_sliding_window" in config else None
    for index in range(layers):
        full = not slides or config.get("use_sliding_window") is False
        full = full or (pattern is not None and pattern > 0 and (index + 1) % pattern == 0)
        yield "full" if full or (first is not None and index < first) else "sliding"


def cache_layers(config: Mapping[str, Any], kind: str, kinds: list[str], kept: Kept) -> tuple[CacheLayers, ...]:
    """Groups of layers that keep the same. Layers that see all tokens may have heads of their own (Gemma 4)."""
    window = number(config, ("sliding_window",), MOST_TOKENS, 0)
    count = {name: kinds.count(name) for name in ("full", "sliding", "state")}
    if kind in BOTH:
        count["state"] = count["full"]
    found = []
    if count["full"]:
        heads = number(config, ("num_global_key_value_heads",), MOST_HEADS) or kept.heads
        width = number(config, ("global_head_dim",), MOST_WIDTH)
        found.append(CacheLayers("full", count["full"], heads, 2 * width if width is not None else kept.width))
    if count["sliding"]:
        found.append(CacheLayers("sliding", count["sliding"], kept.heads, kept.width, window=window))
    if count["state"]:
        found.append(CacheLayers("state", count["state"], state_bytes=Mixer.of(config).state_bytes))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Mixer:
    """A layer that mixes tokens without attention: what it keeps of a sequence, and how many weights it has."""

    state_bytes: int
    weights: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Mixer:
        hidden = number(config, ("hidden_size", "d_model"), MOST_WIDTH) or 0
        if "linear_num_value_heads" in config:
            return cls._delta_net(config, hidden)
        heads = number(config, ("mamba_num_heads", "mamba_n_heads"), MOST_HEADS)
        if heads is not None:
            return cls._mamba2(config, hidden, heads)
        if "conv_L_cache" in config:
            length = number(config, ("conv_L_cache",), 1 << 16) or 1
            return cls(hidden * length * HALF, hidden * (4 * hidden + length))
        inner = hidden * (number(config, ("mamba_expand", "expand"), 64) or 2)
        state = number(config, ("mamba_d_state", "state_size"), MOST_WIDTH) or 16
        kernel = number(config, ("mamba_d_conv", "conv_kernel"), 1 << 10) or 4
        return cls(inner * (state * WHOLE + (kernel - 1) * HALF), inner * (3 * hidden + 3 * state + kernel))

    @classmethod
    def _delta_net(cls, config: Mapping[str, Any], hidden: int) -> Mixer:
        """Gated DeltaNet of Qwen3-Next and later."""
        heads = number(config, ("linear_num_value_heads",), MOST_HEADS) or 1
        wide = number(config, ("linear_value_head_dim",), MOST_WIDTH) or 1
        key = number(config, ("linear_key_head_dim",), MOST_WIDTH) or 1
        keys = (number(config, ("linear_num_key_heads",), MOST_HEADS) or 1) * key
        kernel = number(config, ("linear_conv_kernel_dim",), 1 << 10) or 4
        mixed = 2 * keys + heads * wide
        state = heads * wide * key * WHOLE + (kernel - 1) * mixed * HALF
        return cls(state, hidden * (mixed + 2 * heads * wide + 2 * heads) + mixed * kernel)

    @classmethod
    def _mamba2(cls, config: Mapping[str, Any], hidden: int, heads: int) -> Mixer:
        wide = heads * (number(config, ("mamba_head_dim", "mamba_d_head"), MOST_WIDTH) or 64)
        state = number(config, ("ssm_state_size", "mamba_d_state"), MOST_WIDTH) or 128
        groups = number(config, ("n_groups", "mamba_n_groups"), MOST_HEADS) or 1
        kernel = number(config, ("conv_kernel", "mamba_d_conv"), 1 << 10) or 4
        mixed = wide + 2 * groups * state
        kept = wide * state * WHOLE + (kernel - 1) * mixed * HALF
        return cls(kept, hidden * (mixed + 2 * wide + heads) + mixed * kernel)
