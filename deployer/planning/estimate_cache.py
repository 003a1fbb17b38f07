"""Bytes of keys and values, and of other state, that one GPU keeps of sequences.

Sources: vLLM 0.33 vllm/v1/kv_cache_interface.py (`max_memory_usage_bytes` of each kind of layer); llama.cpp
src/llama-kv-cache-iswa.cpp; for what a token takes, the shapes of the models themselves.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from deployer.backends.base import Memory
from deployer.catalog.quantizations import CACHE_BITS
from deployer.dataclass import dataclass
from deployer.planning.estimate_weights import Spread
from deployer.values.model_shape import CacheLayers, ModelShape

PAD = 256  # cells to which llama.cpp rounds the windows of all sequences


@dataclass(frozen=True, slots=True)
class Held:
    """Sequences of `tokens` each that are in the cache at once; `batch`: tokens that are worked on together."""

    tokens: int
    sequences: int
    batch: int


def cache_bits(kv_dtype: str | None) -> Fraction | None:
    """Of one element; None of a type that is not known. Nothing said: 16, as the models have it."""
    return CACHE_BITS.get((kv_dtype or "auto").lower(), Fraction(16) if kv_dtype in (None, "auto") else None)


def bytes_per_token(shape: ModelShape, spread: Spread, bits: Fraction) -> int:
    """What one more token takes on one GPU as long as no window is full."""
    return _bytes(sum(_elements(group, shape, spread) for group in shape.cache), bits)


def cache_bytes(shape: ModelShape, spread: Spread, bits: Fraction, memory: Memory, held: Held) -> int:
    """Of all sequences together, in whole pages."""
    total = 0
    for group in shape.cache:
        if group.kind == "state":
            share = spread.layers(group.layers) * -(-group.state_bytes // spread.tensor)
            total += share * held.sequences
        else:
            total += _bytes(_elements(group, shape, spread) * _tokens(group, memory, held), bits)
    return total


def _tokens(group: CacheLayers, memory: Memory, held: Held) -> int:
    """Of all sequences, for which layers of this kind have room."""
    whole = _pages(held.tokens, memory.block) * held.sequences
    if group.kind != "sliding" or group.window is None:
        return whole
    if memory.windows is not None:
        return ceil(whole * Fraction(memory.windows).limit_denominator(100))
    if memory.works == "graph":
        return min(whole, _pages(group.window * held.sequences + held.batch, PAD))
    return min(whole, (_pages(group.window - 1 + held.batch, memory.block) + memory.block) * held.sequences)


def _elements(group: CacheLayers, shape: ModelShape, spread: Spread) -> int:
    """Of one token in all layers of the group that one GPU has; heads that are fewer than GPUs are held again."""
    if group.kind == "state":
        return 0
    heads = -(-group.heads // spread.tensor)  # a latent is one head, whole on each
    return spread.layers(group.layers) * heads * group.width


def _pages(tokens: int, page: int) -> int:
    return -(-tokens // page) * page


def _bytes(elements: int, bits: Fraction) -> int:
    return -(-elements * bits.numerator // (8 * bits.denominator))
