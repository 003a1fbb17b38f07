"""The arithmetic of estimates, held against what engines said in published logs.

Weights and caches: start-up lines of vLLM ("Model loading took", "GPU KV cache size", "Available KV cache memory") and
of llama.cpp ("KV self size", "load_tensors: ... buffer size"). Parameters: the model cards.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from deployer import backends
from deployer.backends.base import Memory
from deployer.planning.estimate_cache import Held, bytes_per_token, cache_bits, cache_bytes
from deployer.planning.estimate_weights import Spread, loaded, weights_of_gpu
from deployer.planning.weights_counted import count_weights, stored_as_shaped
from deployer.planning.weights_named import named_weights
from deployer.values.model_shape import CacheLayers, ModelShape, Quantized
from deployer.values.model_weights import Tensor, WeightParts
from tests.support.models import shape

GIB, MIB = 1 << 30, 1 << 20
HALF = Fraction(16)
INT4 = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
FP8 = {"quantization_config": {"quant_method": "fp8"}}


def memory_of(name: str) -> Memory:
    backend = backends.find(name)
    assert backend is not None
    assert backend.memory is not None
    return backend.memory


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Qwen2.5-0.5B", 494_032_768), ("Qwen2.5-7B", 7_615_616_512), ("Qwen2.5-72B", 72_706_203_648),
        ("Qwen3-4B", 4_022_468_096), ("Qwen3-8B", 8_190_735_360), ("Qwen3-32B", 32_762_123_264),
        ("Qwen3-30B-A3B", 30_532_122_624), ("Qwen3-235B-A22B", 235_093_634_560), ("Llama-3.1-8B", 8_030_261_248),
        ("Llama-3.1-70B", 70_553_706_496), ("Llama-3.1-405B", 405_853_388_800), ("Llama-3.2-1B", 1_235_814_400),
        ("Mistral-7B-v0.3", 7_248_023_552), ("Mixtral-8x7B", 46_702_792_704), ("Mistral-Small-24B", 23_572_403_200),
        ("Phi-4", 14_659_507_200), ("gemma-3-1b", 999_885_952), ("Yi-34B", 34_388_917_248),
        ("DeepSeek-V3", 671_026_419_200), ("gpt-oss-120b", 116_829_156_672), ("gpt-oss-20b", 20_914_757_184),
    ],
)  # fmt: skip
def test_parameters_of_known_models(name: str, parameters: int) -> None:
    assert count_weights(shape(name)).total == pytest.approx(parameters, rel=0.0005)


@pytest.mark.parametrize(
    ("name", "changes", "measured"),
    [
        ("Qwen2.5-7B", INT4, 5.2032), ("Llama-3.1-8B", FP8, 8.4926), ("gpt-oss-20b", {}, 13.72),
        ("Qwen2.5-32B", {}, 61.03), ("Qwen3-8B", {}, 15.26), ("Llama-3.2-1B", {}, 2.30),
    ],
)  # fmt: skip
def test_weights_as_vllm_measured_them(name: str, changes: dict[str, object], measured: float) -> None:
    weights = stored_as_shaped(shape(name, **changes))
    assert weights.parts.total / GIB == pytest.approx(measured, rel=0.02)
    assert weights.source == "config"


def test_weights_of_gpt_oss_120b_lie_where_they_were_seen() -> None:
    assert 64.0 <= stored_as_shaped(shape("gpt-oss-120b")).parts.total / GIB <= 66.0


@pytest.mark.parametrize(
    ("name", "group", "kind", "tokens", "measured"),
    [
        ("Qwen2.5-7B", 1, None, 597_776, 31.92 * GIB), ("Llama-3.2-1B", 1, None, 117_856, 3.60 * GIB),
        ("Qwen2.5-1.5B", 1, None, 581_312, 15.52 * GIB), ("Qwen3-8B", 1, None, 389_888, 53.54 * GIB),
        ("gpt-oss-120b", 1, None, 130_960, 8.99 * GIB), ("Qwen3-14B", 4, None, 298_447, 11.39 * GIB),
        ("DeepSeek-V3", 8, None, 2_454_421, 160.63 * GIB), ("Qwen3-4B", 1, "f16", 32_768, 4608 * MIB),
        ("Qwen2.5-32B", 1, "q8_0", 32_768, 4352 * MIB),
    ],
)  # fmt: skip
def test_what_a_token_takes_as_engines_measured_it(
    name: str, group: int, kind: str | None, tokens: int, measured: float
) -> None:
    bits = cache_bits(kind)
    assert bits is not None
    assert bytes_per_token(shape(name), Spread(group), bits) * tokens == pytest.approx(measured, rel=0.002)


def test_a_gpu_has_at_least_one_head_and_a_latent_whole() -> None:
    assert [bytes_per_token(shape("Qwen3-235B-A22B"), Spread(tp), HALF) for tp in (1, 2, 4, 8)] == [
        192_512, 96_256, 48_128, 48_128,
    ]  # fmt: skip
    assert {bytes_per_token(shape("DeepSeek-V3"), Spread(tp), HALF) for tp in (1, 8, 16)} == {70_272}
    assert bytes_per_token(shape("DeepSeek-V3"), Spread(8, 2), HALF) == 31 * 576 * 2


def test_an_unknown_type_is_unknown() -> None:
    assert (cache_bits("auto"), cache_bits(None), cache_bits("q4_0"), cache_bits("bf17")) == (16, 16, 4.5, None)


def test_windows_are_kept_as_each_server_keeps_them() -> None:
    small = shape("gpt-oss-120b")
    sliding = ModelShape("", "", 18, 2880, 64, 8, 64, 1, 1, cache=(small.cache[1],))
    held = Held(131_072, 1, 512)
    kept = {name: cache_bytes(sliding, Spread(), HALF, memory_of(name), held) for name in ("vllm", "sglang", "tgi")}
    assert kept["tgi"] == 18 * 2048 * 131_072
    assert kept["sglang"] == pytest.approx(kept["tgi"] * 0.8, rel=1e-4)
    assert kept["vllm"] == 18 * 2048 * (640 + 16)
    # llama.cpp said 45 MiB for 1280 cells: the window and a batch of 1024, rounded up
    assert cache_bytes(sliding, Spread(), HALF, memory_of("llama.cpp"), Held(32_768, 1, 1024)) == 45 * MIB


def test_a_state_is_as_large_for_long_texts_as_for_short_ones() -> None:
    states = ModelShape("", "", 3, 1, 1, 1, 1, 1, 1, cache=(CacheLayers("state", 3, state_bytes=1000),))
    assert cache_bytes(states, Spread(), HALF, memory_of("vllm"), Held(1, 2, 1)) == 6000
    assert cache_bytes(states, Spread(2), HALF, memory_of("vllm"), Held(10**6, 2, 1)) == 3000


def test_weights_of_one_gpu() -> None:
    parts = WeightParts(linear=800, kv=160, whole=10, embedding=400, head=400, towers=50)
    model = shape("Llama-3.1-8B")
    assert weights_of_gpu(parts, model, Spread(), embeds_on_host=False) == parts.total
    assert weights_of_gpu(parts, model, Spread(2), embeds_on_host=False) == 400 + 80 + 10 + 400 + 50
    assert weights_of_gpu(parts, model, Spread(16), embeds_on_host=False) == 50 + 20 + 10 + 50 + 50
    assert weights_of_gpu(parts, model, Spread(1, 2), embeds_on_host=False) == 485 + 400 + 50
    assert weights_of_gpu(parts, model, Spread(1, 3), embeds_on_host=True) == -(-970 * 11 // 32) + 400 + 50
    tied = WeightParts(linear=800, embedding=400)
    assert weights_of_gpu(tied, model, Spread(), embeds_on_host=True) == 1200, "a copy of it is the output layer"


def test_types_that_a_server_changes() -> None:
    weights = stored_as_shaped(shape("Llama-3.1-8B", torch_dtype="float32"))
    whole = weights.parts.total
    model = shape("Llama-3.1-8B")
    assert loaded(weights, model, None, None).total == pytest.approx(whole / 2)
    assert loaded(weights, model, "float32", None).total == whole
    plain = stored_as_shaped(model)
    assert loaded(plain, model, None, "fp8").total / GIB == pytest.approx(8.49, rel=0.01)
    assert loaded(plain, model, "float32", None).total == 2 * plain.parts.total
    stored = shape("Llama-3.1-8B", **FP8)
    assert loaded(stored_as_shaped(stored), stored, "float32", "awq") == stored_as_shaped(stored).parts


def tensor(name: str, dtype: str, *sides: int, size: int = 100) -> Tensor:
    return Tensor(name, dtype, sides, size)


def test_tensors_are_sorted_by_their_names() -> None:
    named = [
        ("model.embed_tokens.weight", "embedding"), ("lm_head.weight", "head"), ("output.weight", "head"),
        ("model.layers.3.self_attn.q_proj.weight", "linear"), ("model.layers.3.self_attn.k_proj.weight", "kv"),
        ("model.layers.3.self_attn.kv_a_proj_with_mqa.weight", "whole"), ("model.layers.3.mlp.gate.weight", "whole"),
        ("model.layers.3.mlp.gate_proj.weight", "linear"), ("model.layers.3.input_layernorm.weight", "whole"),
        ("blk.3.attn_v.weight", "kv"), ("blk.3.ffn_gate_exps.weight", "linear"), ("blk.3.ffn_gate_inp.weight", "whole"),
        ("token_embd.weight", "embedding"), ("visual.blocks.3.attn.qkv.weight", "towers"),
        ("model.vision_tower.encoder.layers.3.fc1.weight", "towers"), ("transformer.h.3.attn.c_attn.weight", "linear"),
    ]  # fmt: skip
    for name, part in named:
        parts = named_weights([tensor(name, "BF16", 5, 10)], shape("Llama-3.1-8B")).parts
        assert (getattr(parts, part), parts.total) == (100, 100), name


def test_heads_for_drafts_and_second_copies_are_not_loaded() -> None:
    tensors = [
        tensor("model.layers.61.mlp.up_proj.weight", "BF16", 5, 10),
        tensor("mtp.layers.0.w.weight", "BF16", 5, 10),
    ]
    assert named_weights(tensors, shape("DeepSeek-V3")).parts.total == 0
    assert named_weights([tensor("lm_head.weight", "BF16", 5, 10)], shape("Qwen3-4B")).parts.total == 0


def test_weights_are_counted_and_scales_are_not() -> None:
    packed = shape("Llama-3.1-8B", **INT4)
    assert packed.quantized == Quantized("gptq", 4, 128)
    tensors = [
        tensor("model.layers.0.mlp.up_proj.qweight", "I32", 512, 14336),
        tensor("model.layers.0.mlp.up_proj.scales", "F16", 32, 14336),
        tensor("model.layers.0.mlp.up_proj.qzeros", "I32", 32, 1792),
        tensor("model.norm.weight", "BF16", 4096),
    ]
    found = named_weights(tensors, packed)
    assert (found.parameters, found.parts.total, found.source) == (4096 * 14336 + 4096, 400, "tensors")


def test_the_type_of_plain_weights() -> None:
    assert named_weights([tensor("model.norm.weight", "F32", 9)], None).float_bits == 32
    mixed = [tensor("model.layers.0.mlp.up_proj.weight", "BF16", 5, 10), tensor("model.norm.weight", "F32", 9, size=9)]
    assert named_weights(mixed, None).float_bits == 16
    assert named_weights([], None).parts.total == 0
