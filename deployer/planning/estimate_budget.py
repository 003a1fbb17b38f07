"""How much of a GPU a server may take, by what its memory fraction means. All sizes in bytes.

Sources: vLLM 0.33 vllm/v1/worker/utils.py `request_memory` (a share of the whole GPU); SGLang 0.5.23
sglang/srt/server_args.py `_handle_gpu_memory_settings` (a share for weights and cache, computed where none is given);
TensorRT-LLM `KvCacheConfig.free_gpu_memory_fraction` and LMDeploy `cache_max_entry_count` (a share of what is left, for
the cache alone).
"""

from __future__ import annotations

from deployer.backends.base import Batch, Memory
from deployer.planning.estimate_request import GIB, Card, Serving
from deployer.values.estimate import Terms

MIB = 1 << 20
LARGE_CARD = 60 * GIB
LARGE_RESERVE = 10 * GIB
GRAPH_OF_SEQUENCE = 2 * MIB


def budget_of(card: Card, serving: Serving, memory: Memory, batch: Batch, terms: Terms) -> int:
    """What the terms may come to together. Where the fraction is about the cache alone, what bounds it is what the
    other terms leave, so they count with what they take."""
    match memory.bound:
        case "total":
            return _share(serving.fraction_of(memory) or 1.0, card.memory)
        case "needed":
            return card.room if card.free is None else card.free
        case _:
            return min(taken_of(card, serving, memory, batch, terms), card.room)


def taken_of(card: Card, serving: Serving, memory: Memory, batch: Batch, terms: Terms) -> int:
    """What a server takes whose fraction is about weights and cache, or the cache alone, where all of the GPU is
    free."""
    weights, cache = terms.weights or 0, terms.kv_cache or 0
    rest = (terms.need or 0) - weights - cache
    fraction = serving.fraction_of(memory)
    match memory.bound:
        case "static":
            taken = rest + (_static(card, serving, batch) if fraction is None else _share(fraction, card.memory))
        case "after-weights":
            taken = weights + rest + _share(fraction or 1.0, max(0, card.memory - weights))
        case _:
            taken = weights + rest + _share(fraction or 1.0, max(0, card.memory - weights - rest))
    return min(taken, card.memory)


def _share(fraction: float, size: int) -> int:
    return size * round(fraction * 10_000) // 10_000


def _static(card: Card, serving: Serving, batch: Batch) -> int:
    """What SGLang gives weights and cache where nobody says a fraction."""
    reserve = 512 * MIB + max(batch.tokens, 2048) * 3 * MIB // 2
    reserve += serving.gpus * GIB // 8 + batch.sequences * GRAPH_OF_SEQUENCE
    if card.memory > LARGE_CARD:
        reserve = max(reserve, LARGE_RESERVE)
    return max(0, card.memory - reserve)
