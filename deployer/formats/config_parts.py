"""Experts, latent attention, towers and quantization of a model, by its config.json.

Keys are those of the configuration classes of transformers 4.57 and 5, of compressed-tensors and of ModelOpt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.formats.config_layers import MOST_HEADS, MOST_LAYERS, MOST_WIDTH
from deployer.formats.numbers import FormatError, number, section
from deployer.formats.text import one_line
from deployer.values.model_shape import Experts, Latent, Quantized, Tower

MOST_EXPERTS = 1 << 14
SHARED = ("shared_expert_intermediate_size", "shared_intermediate_size", "moe_shared_expert_intermediate_size")
TOWERS = ("vision_config", "audio_config", "vision_tower_config", "visual")
BITS = {"fp8": 8, "fbgemm_fp8": 8, "mxfp4": 4, "awq": 4, "nvfp4": 4, "mxfp8": 8}
FLAT_GROUP = {"mxfp4": 32, "nvfp4": 16}


def experts_of(config: Mapping[str, Any], layers: int, intermediate: int) -> Experts | None:
    count = number(config, ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"), MOST_EXPERTS, 0)
    sparse = _sparse_layers(config, layers) if count else 0
    if not count or count == 1 or not sparse:
        return None
    width = number(config, ("moe_intermediate_size", "expert_ffn_hidden_size"), MOST_WIDTH)
    alone = number(config, ("intermediate_size",), MOST_WIDTH) if "intermediate_size_mlp" in config else None
    width = width or alone or intermediate
    used = number(config, ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k"), MOST_EXPERTS, 0) or 1
    shared = number(config, SHARED, MOST_WIDTH, 0) or alone or 0
    alike = number(config, ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"), MOST_EXPERTS, 0) or 0
    return Experts(count, used, width, sparse, shared or alike * width)


def _sparse_layers(config: Mapping[str, Any], layers: int) -> int:
    """How many of the layers have experts."""
    pattern = config.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        return pattern[:layers].count("E")
    first = number(config, ("first_k_dense_replace", "num_dense_layers"), MOST_LAYERS, 0) or 0
    every = 1
    for key in ("decoder_sparse_step", "moe_layer_freq", "expert_layer_period", "interleave_moe_layer_step"):
        value = config.get(key)
        if isinstance(value, list):
            return sum(1 for flag in value[:layers] if flag)
        every = number(config, (key,), MOST_LAYERS) or every
    dense = config.get("mlp_only_layers")
    alone = len(dense) if isinstance(dense, list) else 0
    return max(0, (layers - min(first, layers)) // every - alone)


def latent_of(config: Mapping[str, Any]) -> Latent | None:
    rank = number(config, ("kv_lora_rank",), MOST_WIDTH)
    if rank is None:
        return None
    return Latent(
        rank=rank,
        rope=number(config, ("qk_rope_head_dim",), MOST_WIDTH) or 64,
        query_rank=number(config, ("q_lora_rank",), MOST_WIDTH, 0) or 0,
        plain=number(config, ("qk_nope_head_dim",), MOST_WIDTH) or 128,
        value=number(config, ("v_head_dim",), MOST_WIDTH) or 128,
    )


def towers_of(config: Mapping[str, Any]) -> tuple[Tower, ...]:
    found = []
    for key in TOWERS:
        inner = section(config, key)
        if inner is None:
            continue
        hidden = number(inner, ("embed_dim", "hidden_size", "width", "d_model"), MOST_WIDTH)
        layers = number(inner, ("depth", "num_hidden_layers", "layers", "encoder_layers"), MOST_LAYERS)
        if hidden is None or layers is None:
            continue
        wide = number(inner, ("intermediate_size", "encoder_ffn_dim"), MOST_WIDTH) or 4 * hidden
        heads = number(inner, ("num_heads", "num_attention_heads", "encoder_attention_heads"), MOST_HEADS)
        found.append(Tower(layers, hidden, wide, heads))
    return tuple(found)


def quantized_of(config: Mapping[str, Any]) -> Quantized | None:
    said = section(config, "quantization_config") or section(config, "compression_config")
    if said is None:
        return None
    method = said.get("quant_method")
    method = one_line(method, 40).lower() if isinstance(method, str) else "unknown"
    if method == "modelopt":
        algorithm = said.get("quant_algo")
        method = one_line(algorithm, 40).lower() if isinstance(algorithm, str) else method
    inner = _weights_of(said)
    bits = number(inner, ("bits", "num_bits", "w_bit", "weight_bits"), 32) or _bits_by_name(method, said)
    group = number(inner, ("group_size", "q_group_size"), MOST_WIDTH, -1) or FLAT_GROUP.get(method)
    group = group if group is not None and group > 0 else None
    return Quantized(method, bits, group, _block(said), experts_only=method == "mxfp4")


def _weights_of(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of compressed-tensors: what the first of its groups says of weights."""
    groups = section(said, "config_groups") or {}
    first = next(iter(groups.values()), None)
    weights = section(first, "weights") if isinstance(first, dict) else None
    return weights if weights is not None else said


def _bits_by_name(method: str, said: Mapping[str, Any]) -> int | None:
    if method == "bitsandbytes":
        return 4 if said.get("load_in_4bit") is True else 8
    return BITS.get(method)


def _block(said: Mapping[str, Any]) -> int | None:
    block = said.get("weight_block_size")
    if block is None:
        return None
    if not isinstance(block, list) or len(block) != 2 or not all(type(side) is int for side in block):
        raise FormatError("its `weight_block_size` is no pair of numbers")
    return number({"weight_block_size": max(block)}, ("weight_block_size",), MOST_WIDTH)
