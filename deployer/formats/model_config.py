"""config.json of a model, as transformers writes it, read as a ModelShape. Bounded; believes nothing absurd.

Keys and defaults are those of the configuration classes of transformers 4.57 and 5; the context is derived as vLLM
does it (vllm/config/model.py, `_get_and_verify_max_len`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deployer.dataclass import replace
from deployer.formats.config_defaults import DEFAULTS, with_defaults
from deployer.formats.config_layers import (
    MOST_HEADS,
    MOST_LAYERS,
    MOST_TOKENS,
    MOST_WIDTH,
    Kept,
    Mixer,
    cache_layers,
    layer_kinds,
)
from deployer.formats.config_parts import experts_of, latent_of, quantized_of, towers_of
from deployer.formats.numbers import FormatError, needed, number, section, words
from deployer.formats.text import one_line
from deployer.values.model_shape import CacheLayers, Latent, ModelShape

MAX_CONFIG = 1 << 20  # bytes
MOST_WORDS = 1 << 24  # of a vocabulary
WIDTHS = (
    "intermediate_size_mlp", "intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "d_ff", "block_ff_dim",
    "intermediate_dim",
)  # fmt: skip
GATED_ATTENTION = ("qwen3_next", "qwen3_5")
INNER = ("text_config", "llm_config", "language_config", "text_model_config")
TIED = ("gemma", "gpt2", "bloom", "falcon", "cohere", "mpt", "gpt_bigcode", "t5", "opt", "smollm")
UNGATED = (
    "gpt2", "gpt_neox", "gpt_bigcode", "gptj", "opt", "falcon", "bloom", "mpt", "starcoder2", "phi", "codegen",
)  # fmt: skip
ENCODERS = (
    "bert", "roberta", "xlm-roberta", "distilbert", "camembert", "electra", "deberta", "deberta-v2", "mpnet", "albert",
    "modernbert", "nomic_bert", "new", "gte", "xlm-roberta-flash", "jina_bert", "neobert",
)  # fmt: skip
DTYPES = {"float32": "float32", "float16": "float16", "half": "float16", "bfloat16": "bfloat16"}
LENGTHS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "max_sequence_length",
    "max_seq_length", "n_ctx",
)  # fmt: skip
UNSCALED = ("default", "mrope", "llama3", "longrope", "su", "proportional")  # lengths say what these give already


def parse_model_config(data: bytes) -> ModelShape:
    """FormatError with what is wrong: no JSON object, a number that is missing or absurd."""
    if len(data) > MAX_CONFIG:
        raise FormatError(f"it is larger than {MAX_CONFIG >> 20} MiB")
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        raise FormatError("it is no JSON") from None
    if not isinstance(config, dict):
        raise FormatError("it is no JSON object")
    return shape_of(config)


def shape_of(outer: Mapping[str, Any]) -> ModelShape:
    config = _language_model(outer)
    kind = _word(config, "model_type") or _word(outer, "model_type") or "unknown"
    layers = needed(config, ("num_hidden_layers", "n_layer", "num_layers", "n_layers"), MOST_LAYERS)
    hidden = needed(config, ("hidden_size", "n_embd", "d_model", "dim"), MOST_WIDTH)
    heads = number(config, ("num_attention_heads", "n_head", "num_heads", "n_heads"), MOST_HEADS) or 1
    kv_heads = _kv_heads(config, heads)
    width = number(config, ("head_dim", "kv_channels", "attention_head_dim"), MOST_WIDTH) or max(1, hidden // heads)
    wide = _intermediate(config, hidden)
    shape = ModelShape(
        architecture=next(iter(words(outer, "architectures", 64)), ""),
        kind=kind,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_width=width,
        intermediate=wide,
        vocabulary=needed(config, ("vocab_size", "padded_vocab_size"), MOST_WORDS),
        tied=_tied(outer, config, kind),
        gated=kind not in UNGATED and "relu2" not in (_word(config, "mlp_hidden_act"), _word(config, "hidden_act")),
        context=_context(config),
        dtype=_dtype(outer) or _dtype(config),
        quantized=quantized_of(outer) or quantized_of(config),
        experts=experts_of(config, layers, wide),
        towers=towers_of(outer),
        gated_attention=kind.startswith(GATED_ATTENTION),
        encoder=kind in ENCODERS,
        needs_code="auto_map" in outer,
    )
    return shape if shape.encoder else _with_layers(shape, config)


def _with_layers(shape: ModelShape, config: Mapping[str, Any]) -> ModelShape:
    """With what each kind of its layers is, and keeps."""
    latent, kinds = latent_of(config), layer_kinds(config, shape.kind, shape.layers)
    value = number(config, ("v_head_dim",), MOST_WIDTH) or shape.head_width
    mixers = kinds.count("state")
    return replace(
        shape,
        cache=_cache(config, shape.kind, kinds, latent, Kept(shape.kv_heads, shape.head_width + value)),
        latent=latent,
        attention_layers=_letters(config, "*", shape.layers),
        mlp_layers=_letters(config, "-", shape.layers),
        mixers=mixers,
        mixer_weights=Mixer.of(config).weights if mixers else 0,
    )


def _language_model(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a multimodal model, the part that writes text."""
    config = section(config, "thinker_config") or config
    for key in INNER:
        inner = section(config, key)
        if inner is not None and ("hidden_size" in inner or _word(inner, "model_type") in DEFAULTS):
            return with_defaults(inner)
    return with_defaults(config)


def _cache(
    config: Mapping[str, Any], kind: str, kinds: list[str], latent: Latent | None, kept: Kept
) -> tuple[CacheLayers, ...]:
    groups = cache_layers(config, kind, kinds, kept)
    if latent is None:
        return groups
    return tuple(
        CacheLayers("latent", group.layers, 1, latent.rank + latent.rope) if group.kind == "full" else group
        for group in groups
    )


def _letters(config: Mapping[str, Any], letter: str, layers: int) -> int | None:
    """Layers that a pattern calls so: there each is one thing alone."""
    pattern = config.get("hybrid_override_pattern")
    return pattern[:layers].count(letter) if isinstance(pattern, str) else None


def _kv_heads(config: Mapping[str, Any], heads: int) -> int:
    """As many as heads where nothing is said: plain multi-head attention."""
    if config.get("multi_query") is True and config.get("new_decoder_architecture") is not True:
        return 1
    keys: tuple[str, ...] = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads")
    if config.get("multi_query_attention") is True:
        keys = ("multi_query_group_num", *keys)
    inner = section(config, "attn_config") or {}
    return number(config, keys, MOST_HEADS) or number(inner, ("kv_n_heads",), MOST_HEADS) or heads


def _intermediate(config: Mapping[str, Any], hidden: int) -> int:
    if isinstance(config.get("intermediate_size"), list):  # one a layer (Gemma 3n)
        each = [number({"intermediate_size": size}, WIDTHS[1:], MOST_WIDTH) for size in config["intermediate_size"]]
        return max((size for size in each[:MOST_LAYERS] if size is not None), default=4 * hidden)
    return number(config, WIDTHS, 1 << 24) or 4 * hidden


def _tied(outer: Mapping[str, Any], config: Mapping[str, Any], kind: str) -> bool:
    for place in (config, outer):
        if isinstance(place.get("tie_word_embeddings"), bool):
            return bool(place["tie_word_embeddings"])
    return kind.startswith(TIED)


def _context(config: Mapping[str, Any]) -> int | None:
    said = [number(config, (key,), MOST_TOKENS, -1) for key in LENGTHS]
    lengths = [length for length in said if length is not None and length > 0]
    if not lengths:
        return None
    rope = section(config, "rope_scaling") or section(config, "rope_parameters") or {}
    kind = _word(rope, "rope_type") or _word(rope, "type") or "default"
    factor = rope.get("factor")
    scaled = isinstance(factor, int | float) and 1 <= factor <= 4096
    if not scaled or kind in UNSCALED or (_word(config, "model_type") or "").startswith("gemma3"):
        return min(lengths)
    base = number(rope, ("original_max_position_embeddings",), MOST_TOKENS) or min(lengths)
    return int(base * (factor or 1))


def _dtype(config: Mapping[str, Any]) -> str | None:
    said = config.get("torch_dtype", config.get("dtype"))
    return DTYPES.get(said.removeprefix("torch.")) if isinstance(said, str) else None


def _word(config: Mapping[str, Any], key: str) -> str | None:
    value = config.get(key)
    return one_line(value, 80) if isinstance(value, str) else None
