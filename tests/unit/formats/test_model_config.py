"""config.json of what people run, read as shapes; and of what nobody should."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.formats.model_config import MAX_CONFIG, parse_model_config
from deployer.formats.numbers import FormatError
from deployer.planning.weights_counted import count_weights
from deployer.values.model_shape import CacheLayers, Experts, Latent, Quantized, Tower
from tests.support.models import CONFIGS, LLAMA, shape
from tests.unit.formats.complaints import complaint_of


def parsed(**config: Any):
    return parse_model_config(json.dumps(config).encode())


def changed(**config: Any):
    return parsed(**{**LLAMA, **config})


def test_a_model_with_grouped_attention() -> None:
    found = shape("Llama-3.1-8B")
    assert (found.architecture, found.kind, found.layers, found.hidden) == ("LlamaForCausalLM", "llama", 32, 4096)
    assert (found.heads, found.kv_heads, found.head_width, found.vocabulary) == (32, 8, 128, 128256)
    assert found.cache == (CacheLayers("full", 32, 8, 256),)
    assert (found.context, found.dtype, found.tied, found.gated) == (131072, "bfloat16", False, True)
    assert (found.quantized, found.experts, found.latent, found.towers) == (None, None, None, ())


@pytest.mark.parametrize(
    ("config", "kv_heads"),
    [
        ({"num_key_value_heads": None}, 32),
        ({"num_key_value_heads": None, "multi_query": True}, 1),
        ({"num_key_value_heads": None, "num_kv_heads": 8, "new_decoder_architecture": True, "multi_query": True}, 8),
        ({"num_key_value_heads": None, "multi_query_attention": True, "multi_query_group_num": 2}, 2),
        ({"num_key_value_heads": None, "attn_config": {"kv_n_heads": 4}}, 4),
    ],
)
def test_heads_of_keys_and_values(config: dict[str, Any], kv_heads: int) -> None:
    assert changed(**config).kv_heads == kv_heads


def test_a_head_is_as_wide_as_the_config_says() -> None:
    assert (shape("Qwen3-32B").head_width, shape("Mistral-Small-24B").head_width) == (128, 128)
    assert changed(head_dim=None).head_width == 128
    assert changed(head_dim=None, hidden_size=16).head_width == 1


def test_old_names_of_keys() -> None:
    found = parsed(model_type="gpt2", n_layer=12, n_embd=768, n_head=12, n_ctx=1024, vocab_size=50257)
    assert (found.layers, found.hidden, found.heads, found.intermediate, found.context) == (12, 768, 12, 3072, 1024)
    assert (found.gated, found.tied) == (False, True)


def test_latent_attention_keeps_one_vector_a_token() -> None:
    found = shape("DeepSeek-V3")
    assert found.cache == (CacheLayers("latent", 61, 1, 576),)
    assert found.latent == Latent(512, 64, 1536, 128, 128)
    assert found.experts == Experts(256, 8, 2048, 58, 2048)
    assert found.quantized == Quantized("fp8", 8, None, 128)
    assert (found.context, found.needs_code) == (163840, True)


def test_windows() -> None:
    assert shape("gpt-oss-20b").cache == (CacheLayers("full", 12, 8, 128), CacheLayers("sliding", 12, 8, 128, 128))
    assert [(g.kind, g.layers) for g in shape("gemma-3-1b").cache] == [("full", 4), ("sliding", 22)]
    assert [g.kind for g in changed(sliding_window=4096).cache] == ["sliding"]
    qwen = {"sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 28}
    assert [(g.kind, g.layers) for g in changed(**qwen).cache] == [("full", 28), ("sliding", 4)]
    assert [g.kind for g in shape("Qwen2.5-7B").cache] == ["full"]


def test_layers_that_share_a_cache_have_none() -> None:
    assert changed(num_kv_shared_layers=12).cache == (CacheLayers("full", 20, 8, 256),)


def test_layers_without_attention_keep_a_state() -> None:
    next_ = {"full_attention_interval": 4, "linear_num_value_heads": 32, "linear_num_key_heads": 16,
             "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4}  # fmt: skip
    full, state = changed(**next_).cache
    assert (full.kind, full.layers, state.kind, state.layers) == ("full", 8, "state", 24)
    assert state.state_bytes == 32 * 128 * 128 * 4 + 3 * (2 * 16 * 128 + 32 * 128) * 2
    jamba = changed(attn_layer_period=8, attn_layer_offset=4, mamba_d_state=16, mamba_d_conv=4, mamba_expand=2)
    assert [(g.kind, g.layers) for g in jamba.cache] == [("full", 4), ("state", 28)]
    pattern = {"hybrid_override_pattern": "M-M*-E", "mlp_hidden_act": "relu2", "n_routed_experts": 4}
    nemotron = changed(num_hidden_layers=6, mamba_num_heads=64, ssm_state_size=128, **pattern)
    assert [(g.kind, g.layers) for g in nemotron.cache] == [("full", 1), ("state", 2)]
    assert (nemotron.mixers, nemotron.attention_layers, nemotron.mlp_layers, nemotron.gated) == (2, 1, 2, False)
    assert nemotron.experts == Experts(4, 1, 14336, 1)
    granite = changed(num_hidden_layers=2, layer_types=["mamba", "attention"], mamba_n_heads=48, mamba_d_head=64)
    assert (granite.mixers, granite.mixer_weights > 0) == (1, True)
    assert [g.kind for g in changed(model_type="mamba").cache] == ["state"]
    kimi = changed(linear_attn_config={"full_attn_layers": [4, 8]})
    assert [(g.kind, g.layers) for g in kimi.cache] == [("full", 2), ("state", 30)]


def test_experts() -> None:
    assert shape("Mixtral-8x7B").experts == Experts(8, 2, 14336, 32)
    assert shape("Qwen3-30B-A3B").experts == Experts(128, 8, 768, 48)
    assert changed(num_experts=4, decoder_sparse_step=2, mlp_only_layers=[0]).experts == Experts(4, 1, 14336, 15)
    assert changed(num_experts=16, moe_layer_freq=[0] + [1] * 31).experts == Experts(16, 1, 14336, 31)
    assert changed(num_local_experts=0).experts is None


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, Quantized("awq", 4, 128)),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, Quantized("gptq", 8)),
        ({"quant_method": "mxfp4"}, Quantized("mxfp4", 4, 32, experts_only=True)),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, Quantized("bitsandbytes", 4)),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}, Quantized("nvfp4", 4, 16)),
        ({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}},
         Quantized("compressed-tensors", 8)),
        ({"quant_method": 7}, Quantized("unknown")),
    ],
)  # fmt: skip
def test_quantization(said: dict[str, Any], found: Quantized) -> None:
    assert changed(quantization_config=said).quantized == found


def test_a_model_with_eyes() -> None:
    vision = {"depth": 32, "embed_dim": 1280, "num_heads": 16, "intermediate_size": 3420}
    found = parsed(model_type="qwen2_5_vl", architectures=["X"], vision_config=vision, text_config=LLAMA)
    assert (found.kind, found.layers, found.architecture) == ("llama", 32, "X")
    assert found.towers == (Tower(32, 1280, 3420, 16),)
    nested = parsed(thinker_config={"text_config": LLAMA, "vision_config": vision})
    assert nested.layers == 32


def test_what_the_class_of_a_model_adds() -> None:
    """As gemma-3-4b-it and llava-1.5-7b-hf have it."""
    text = {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}  # fmt: skip
    gemma = parsed(model_type="gemma3", text_config=text, vision_config={"hidden_size": 1152, "num_hidden_layers": 27})
    assert (gemma.heads, gemma.kv_heads, gemma.head_width, gemma.vocabulary, gemma.tied) == (8, 4, 256, 262208, True)
    assert [(g.kind, g.layers, g.window) for g in gemma.cache] == [("full", 5, None), ("sliding", 29, 1024)]
    assert gemma.context == 131072
    assert count_weights(gemma).total == pytest.approx(4_300_079_472, rel=0.02)
    text = {"model_type": "llama", "max_position_embeddings": 4096, "vocab_size": 32064, "torch_dtype": "float16"}
    llava = parsed(model_type="llava", text_config=text, vision_config={"hidden_size": 1024, "num_hidden_layers": 24})
    assert (llava.layers, llava.hidden, llava.context, llava.dtype) == (32, 4096, 4096, "float16")
    assert count_weights(llava).total == pytest.approx(7_063_427_072, rel=0.01)


def test_models_of_several_kinds_of_layers_have_as_many_weights_as_published() -> None:
    next_ = {
        "model_type": "qwen3_next", "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 16,
        "num_key_value_heads": 2, "head_dim": 256, "vocab_size": 151936, "intermediate_size": 5120,
        "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, "num_experts": 512,
        "num_experts_per_tok": 10, "full_attention_interval": 4, "linear_conv_kernel_dim": 4, "decoder_sparse_step": 1,
        "linear_key_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
        "linear_value_head_dim": 128, "tie_word_embeddings": False,
    }  # fmt: skip
    assert count_weights(parsed(**next_)).total == pytest.approx(79_674_391_296, rel=0.005)
    scout = {
        "model_type": "llama4_text", "hidden_size": 5120, "num_hidden_layers": 48, "num_attention_heads": 40,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 202048, "intermediate_size": 8192,
        "intermediate_size_mlp": 16384, "num_local_experts": 16, "num_experts_per_tok": 1,
        "interleave_moe_layer_step": 1, "tie_word_embeddings": False,
    }  # fmt: skip
    assert count_weights(parsed(**scout)).total == pytest.approx(107_770_000_000, rel=0.005)


def test_an_encoder_keeps_nothing() -> None:
    found = changed(model_type="xlm-roberta", architectures=["XLMRobertaModel"])
    assert (found.cache, found.encoder) == ((), True)


def test_positions_may_be_stretched() -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    assert changed(max_position_embeddings=32768, rope_scaling=yarn).context == 131072
    assert changed(max_position_embeddings=4096, rope_scaling={"type": "linear", "factor": 2}).context == 8192
    assert changed(max_position_embeddings=None).context is None


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"num_hidden_layers": 0}, "its `num_hidden_layers` is 0, which no model has"),
        ({"num_hidden_layers": 1e308}, "its `num_hidden_layers` is a huge number, which no model has"),
        ({"num_hidden_layers": "32"}, "its `num_hidden_layers` is '32', not a whole number"),
        ({"num_hidden_layers": True}, "its `num_hidden_layers` is True, not a whole number"),
        ({"num_hidden_layers": None}, "it has no `num_hidden_layers`"),
        ({"hidden_size": 2**64}, "its `hidden_size` is 18446744073709551616, which no model has"),
        ({"num_attention_heads": 0}, "its `num_attention_heads` is 0, which no model has"),
        ({"num_key_value_heads": -8}, "its `num_key_value_heads` is -8, which no model has"),
        ({"vocab_size": 12.5}, "its `vocab_size` is 12.5, not a whole number"),
        ({"layer_types": ["full_attention"]}, "it tells the kinds of 1 of its 32 layers"),
        ({"layer_types": [1]}, "its `layer_types` is not a list of words"),
        ({"architectures": "Llama"}, "its `architectures` is not a list of words"),
        ({"quantization_config": {"weight_block_size": "128"}}, "its `weight_block_size` is no pair of numbers"),
    ],
)
def test_what_is_missing_or_absurd_is_an_error(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(FormatError) as error:
        changed(**config)
    assert str(error.value) == complaint


@pytest.mark.parametrize(
    "data",
    [b"", b"<!DOCTYPE html>", b"[]", b"7", b"[" * 100_000, b'{"a": ' + b"9" * 10_000 + b"}", b" " * (MAX_CONFIG + 1)],
)
def test_what_is_no_config_is_an_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_model_config(data)


KEYS = sorted({key for config in CONFIGS.values() for key in config} | {
    "layer_types", "attn_layer_period", "attn_layer_offset", "full_attention_interval", "linear_attn_config",
    "linear_num_value_heads", "mamba_n_heads", "conv_L_cache", "vision_config", "text_config", "num_kv_shared_layers",
    "hybrid_override_pattern", "rope_type", "factor", "type", "thinker_config",
    "attn_layer_indices", "mlp_only_layers", "group_size", "config_groups", "depth", "intermediate_size_mlp",
})  # fmt: skip
VALUES = st.recursive(
    st.sampled_from([None, True, 0, 1, -1, 7, 128, 2**64, 1e308, float("nan"), float("inf"), "", "4", "M*-", "yarn"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "own", [{"moe_layer_freq": []}, {"first_k_dense_replace": 2048}, {"mlp_only_layers": [0] * 99}]
)
def test_a_model_of_which_no_layer_has_experts_has_none(own: dict[str, Any]) -> None:
    assert shape("DeepSeek-V2-Lite").experts is not None
    assert parsed(**{**CONFIGS["DeepSeek-V2-Lite"], **own}).experts is None


@given(st.sampled_from(sorted(CONFIGS)), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4))
def test_any_value_under_any_key_is_a_shape_or_an_error(name: str, changes: dict[str, Any]) -> None:
    data = json.dumps({**CONFIGS[name], **changes}).encode()
    assert len(complaint_of(parse_model_config, data)) < 300


@given(st.binary(max_size=300))
def test_noise_is_an_error(noise: bytes) -> None:
    assert complaint_of(parse_model_config, noise)
