"""What a config.json leaves out because it is the default of its class, by `model_type`.

Only kinds whose published models rely on it, as text models inside of multimodal ones do. Values: the configuration
classes of transformers 4.57 (LlamaConfig, MistralConfig, GemmaConfig, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _sizes(
    hidden: int, layers: int, heads: int, kv_heads: int, intermediate: int, vocabulary: int, context: int, **more: Any
) -> dict[str, Any]:
    return {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "intermediate_size": intermediate, "vocab_size": vocabulary,
        "max_position_embeddings": context, **more,
    }  # fmt: skip


DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "llama": _sizes(4096, 32, 32, 32, 11008, 32000, 2048),
    "mistral": _sizes(4096, 32, 32, 8, 14336, 32000, 131072, sliding_window=4096),
    "qwen2": _sizes(4096, 32, 32, 32, 22016, 151936, 32768, use_sliding_window=False),
    "gemma": _sizes(3072, 28, 16, 16, 24576, 256000, 8192, head_dim=256),
    "gemma2": _sizes(2304, 26, 8, 4, 9216, 256000, 8192, head_dim=256, sliding_window=4096),
    "gemma3_text": _sizes(2304, 26, 8, 4, 9216, 262208, 131072, head_dim=256, sliding_window=4096),
}


def with_defaults(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config and what its class adds to it; a key that says null stays so."""
    kind = config.get("model_type")
    known = DEFAULTS.get(kind) if isinstance(kind, str) else None
    return config if known is None else {**known, **config}
