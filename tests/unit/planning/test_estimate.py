"""Whether known models fit on known GPUs, as their users found; every refusal with a change that works."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from deployer.errors import Severity
from deployer.planning.estimate import estimate, smallest_group
from deployer.planning.estimate_fixes import explained
from deployer.planning.estimate_request import GIB, SizedModel
from deployer.values.estimate import Estimate, Fit, Terms
from deployer.values.model_shape import ModelShape
from deployer.values.model_weights import ModelWeights, WeightParts
from tests.support.estimates import card, model, serving
from tests.support.models import shape


def of(name: str, gpu: str, backend: str = "vllm", **options: Any) -> Estimate:
    return explained(model(name), serving(backend, **options), card(gpu))


def codes(found: Estimate) -> list[str]:
    return [problem.code for problem in found.problems if problem.severity is not Severity.INFO]


@pytest.mark.parametrize(
    ("name", "gpu", "options", "verdict"),
    [
        ("Qwen2.5-7B", "RTX 4090", {"context": 32768}, Fit.FITS),
        ("Qwen2.5-7B", "RTX 4090", {"context": 98304}, Fit.TIGHT),
        ("Qwen2.5-7B", "RTX 4090", {"context": 131072}, Fit.NO),
        ("Qwen2.5-7B", "RTX 4090", {"context": 114688, "kv_dtype": "fp8"}, Fit.FITS),
        ("Qwen2.5-7B", "T4", {"context": 2048}, Fit.NO),
        ("Qwen2.5-7B", "T4", {"context": 32768, "quantization": "gptq"}, Fit.FITS),
        ("Qwen2.5-32B", "A100", {"tensor": 2}, Fit.FITS),
        ("Qwen2.5-32B", "A100", {"context": 32768}, Fit.TIGHT),  # 61.6 to 74.5 GiB were measured with transformers
        ("Llama-3.1-70B", "H100", {"tensor": 2, "quantization": "fp8", "context": 65536}, Fit.FITS),
        ("Llama-3.1-70B", "H100", {"context": 2048}, Fit.NO),
        ("DeepSeek-V3", "H200", {"tensor": 8, "context": 131072}, Fit.FITS),
        ("DeepSeek-V3", "H100", {"tensor": 8, "context": 2048}, Fit.NO),
        ("DeepSeek-V3", "H100", {"tensor": 8, "stages": 2, "context": 131072}, Fit.FITS),
        ("gpt-oss-120b", "H100", {"context": 65536}, Fit.TIGHT),
        ("gpt-oss-20b", "L4", {"context": 131072, "kv_dtype": "fp8"}, Fit.FITS),
    ],
)
def test_worked_examples(name: str, gpu: str, options: dict[str, Any], verdict: Fit) -> None:
    assert of(name, gpu, **options).verdict is verdict


def test_the_terms_of_one_gpu() -> None:
    found = of("Qwen2.5-7B", "RTX 4090", context=32768)
    terms = found.terms
    assert terms.weights is not None
    assert terms.weights / GIB == pytest.approx(14.19, abs=0.01)
    assert terms.kv_cache == 32768 * 57344
    assert (terms.activation, terms.graphs, terms.overhead) == (14 * GIB // 10, GIB // 2, GIB // 2)
    assert terms.need == terms.weights + 32768 * 57344 + 14 * GIB // 10 + GIB
    assert found.budget is not None
    assert found.budget / GIB == pytest.approx(0.92 * 23.6, abs=0.1)
    assert (found.gpu, found.count, found.kv_bytes_per_token) == ("NVIDIA GeForce RTX 4090", 1, 57344)
    assert (found.parameters, found.max_context) == (pytest.approx(7_615_616_512, rel=1e-4), 32768)


def test_what_the_memory_fraction_means() -> None:
    """Of the GPU for all, of the GPU for weights and cache, of what is left for the cache."""
    gpu, options = card("L40S"), {"context": 8192, "fraction": 0.5}
    budgets = {
        name: of("Llama-3.1-8B", "L40S", name, **options) for name in ("vllm", "sglang", "lmdeploy", "tensorrt-llm")
    }
    half = gpu.memory // 2
    terms = {name: found.terms for name, found in budgets.items()}
    rest = {name: (t.need or 0) - (t.weights or 0) - (t.kv_cache or 0) for name, t in terms.items()}
    weights = terms["vllm"].weights or 0
    assert budgets["vllm"].budget == half
    assert budgets["sglang"].budget == half + rest["sglang"]
    assert budgets["lmdeploy"].budget == weights + (gpu.memory - weights) // 2 + rest["lmdeploy"]
    left = (gpu.memory - weights - rest["tensorrt-llm"]) // 2
    assert budgets["tensorrt-llm"].budget == weights + rest["tensorrt-llm"] + left


def test_the_fraction_of_older_releases() -> None:
    found = {v: of("Llama-3.1-8B", "L40S", context=8192, version=v).budget for v in ("v0.11.0", "0.25.0", None)}
    memory = card("L40S").memory
    assert found == {"v0.11.0": memory * 9 // 10, "0.25.0": memory * 92 // 100, None: memory * 92 // 100}


def test_what_sglang_leaves_free_by_itself() -> None:
    small, large = (
        of("Llama-3.1-8B", "A10G", "sglang", context=8192),
        of("Llama-3.1-8B", "H100", "sglang", context=8192),
    )
    assert small.budget is not None
    assert large.budget is not None
    rest = sum(t or 0 for t in (large.terms.activation, large.terms.graphs, large.terms.overhead))
    assert large.budget - rest == card("H100").memory - (512 + 8192 * 3 // 2 + 128 + 512) * (1 << 20)


def test_llama_cpp_takes_what_it_needs_and_splits_layers() -> None:
    one, two = (of("Llama-3.1-8B", "RTX 4090", "llama.cpp", context=8192, tensor=gpus) for gpus in (1, 2))
    assert one.budget == card("RTX 4090").memory
    assert one.terms.kv_cache == 8192 * 131072
    assert two.terms.kv_cache == 8192 * 131072 // 2
    assert "format-refused" in codes(one)


def test_several_sequences_of_the_whole_context() -> None:
    one, four = (of("Qwen2.5-7B", "H100", context=8192, sequences=n) for n in (1, 4))
    assert (one.terms.kv_cache or 0) * 4 == four.terms.kv_cache


def test_an_encoder_has_no_cache() -> None:
    shape = ModelShape("XLMRobertaModel", "xlm-roberta", 24, 1024, 16, 16, 64, 4096, 250002, encoder=True, context=8194)
    bge = SizedModel("bge-m3", shape, ModelWeights(WeightParts(linear=2271 << 20), "tensors", None, 32))
    found = estimate(bge, serving("tei"), card("T4"))
    assert (found.verdict, found.terms.kv_cache, found.max_context, found.terms.graphs) == (Fit.FITS, 0, 8194, 0)
    assert found.terms.weights == -(-(2271 << 20) // 2), "a file of 32 bits is served in 16"


def test_adapters_take_room() -> None:
    plain, many = (of("Llama-3.1-8B", "L40S", context=8192, loras=n).terms.lora for n in (0, 2))
    assert plain == 0
    assert many / 2 / (1 << 20) == pytest.approx(80, rel=0.01)


def test_the_smallest_group() -> None:
    def chosen(name: str, gpu: str, count: int | None = None, **options: Any) -> int:
        return smallest_group(model(name), serving(**options), card(gpu), count).tensor

    assert chosen("Qwen2.5-7B", "RTX 4090") == 1
    assert chosen("Llama-3.1-70B", "H100", context=8192) == 4
    assert chosen("Llama-3.1-70B", "H100", 2, context=8192) == 2, "tight, but there are no more"
    assert chosen("Llama-3.1-70B", "H200", context=8192) == 2
    assert chosen("Qwen2.5-7B", "T4", 8, context=8192) == 2
    assert chosen("DeepSeek-V3", "H200", context=8192) == 8
    assert chosen("DeepSeek-V3", "H100", 8, context=8192) == 8, "the largest, where none is enough"
    assert chosen("Llama-3.1-70B", "L40S", 4, context=8192, stages=2) == 2


def test_heads_are_shared_evenly() -> None:
    found = of("Qwen2.5-7B", "RTX 4090", tensor=8, context=8192)
    (problem,) = [p for p in found.problems if p.severity is Severity.ERROR]
    assert (problem.code, problem.hint) == ("heads-not-divisible", "set `tensor_parallel` to 4")
    assert problem.message == "`Qwen2.5-7B` has 28 attention heads, which 8 GPUs cannot share evenly"
    assert (found.verdict, found.max_context) == (Fit.NO, 0)
    assert "heads-not-divisible" in codes(of("Phi-4", "H100", tensor=4, context=8192)), "10 heads of keys and values"


def test_groups_of_quantized_weights_stay_whole() -> None:
    awq = {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}
    found = estimate(model("Qwen2.5-72B", **awq), serving(tensor=8, context=8192), card("H100"))
    (problem,) = [p for p in found.problems if p.severity is Severity.ERROR]
    assert problem.code == "group-not-divisible"
    assert problem.message.endswith("MLP width 29568 in 8 parts is 3696, not a multiple of 128")
    padded = model("Qwen2.5-72B", intermediate_size=29696, **awq)
    assert estimate(padded, serving(tensor=4, context=8192), card("H100")).verdict is Fit.FITS
    assert estimate(model("DeepSeek-V3"), serving(tensor=8, context=8192), card("H200")).verdict is Fit.FITS


@pytest.mark.parametrize(
    ("gpu", "options", "code", "severity"),
    [
        ("T4", {"dtype": "bfloat16"}, "dtype-unsupported", Severity.ERROR),
        ("T4", {}, "dtype-unsupported", Severity.WARNING),
        ("V100", {"quantization": "awq"}, "quantization-unsupported", Severity.ERROR),
        ("P40", {"quantization": "gptq"}, "gpu-too-old", Severity.ERROR),
        ("V100", {"version": "v0.11.0"}, "gpu-too-old", Severity.WARNING),
        ("A100", {"quantization": "nvfp4"}, "weight-only", Severity.INFO),
        ("A100", {"kv_dtype": "fp8"}, "kv-dtype-unsupported", Severity.WARNING),
        ("L4", {"kv_dtype": "fp8"}, None, None),
        ("L40S", {"tensor": 4}, "no-nvlink", Severity.WARNING),
        ("H100", {"tensor": 4}, None, None),
        ("H100", {"context": 2_000_000}, "context-too-long", Severity.WARNING),
        ("H100", {"stages": 64}, "too-many-stages", Severity.ERROR),
    ],
)  # fmt: skip
def test_what_gpus_and_models_forbid(
    gpu: str, options: dict[str, Any], code: str | None, severity: Severity | None
) -> None:
    found = estimate(
        model("Llama-3.1-8B"), serving(**{"dtype": "float16" if gpu == "P40" else None, **options}), card(gpu)
    )
    said = {problem.code: problem.severity for problem in found.problems}
    quiet = {"weights-computed", "checkpoint-needed"}
    assert (said.get(code) is severity) if code else not (said.keys() - quiet - {"weight-only"})


@pytest.mark.parametrize(
    ("backend", "options", "said"),
    [
        ("sglang", {"kv_dtype": "q4_0"}, "`sglang` does not take `kv_cache_dtype` q4_0"),
        ("vllm", {"kv_dtype": "q8_0"}, "`vllm` does not take `kv_cache_dtype` q8_0"),
        (
            "llama.cpp",
            {"quantization": "awq"},
            "`llama.cpp` does not take `quantization` awq: the GGUF file decides it",
        ),
        ("tgi", {"quantization": "nvfp4"}, "`tgi` does not take `quantization` nvfp4"),
        ("llama.cpp", {"kv_dtype": "q4_0", "dtype": "auto"}, None),
        ("vllm", {"kv_dtype": "fp8", "quantization": "awq", "dtype": "float16"}, None),
        ("lmdeploy", {"kv_dtype": "int4"}, None),
    ],
)
def test_types_that_a_server_does_not_take(backend: str, options: dict[str, Any], said: str | None) -> None:
    found = estimate(model("Llama-3.1-8B"), serving(backend, **options), card("H100"))
    refused = [problem.message for problem in found.problems if problem.code == "value-refused"]
    assert [message.startswith(said or "") for message in refused] == ([True] if said else [])
    assert found.verdict is Fit.NO or not said


def test_backends_that_cannot_share_a_model() -> None:
    found = estimate(model("Llama-3.1-8B"), serving("tei", tensor=2), card("H100"))
    assert "option-refused" in codes(found)
    assert smallest_group(model("Llama-3.1-8B"), serving("tei"), card("T4"), 4).tensor == 1
    assert "too-few-gpus" in codes(estimate(model("Llama-3.1-8B"), serving(tensor=4), card("H100"), 2))


def test_a_refusal_names_changes_that_work() -> None:
    long = model("Qwen2.5-7B", max_position_embeddings=131072)
    problem = explained(long, serving(), card("RTX 4090")).problems[-1]
    assert (problem.code, problem.message) == (
        "does-not-fit", "`Qwen2.5-7B` needs 23.6 GiB of each GPU, and `vllm` may take 21.7 GiB",
    )  # fmt: skip
    assert problem.hint == (
        "it fits with `context_length` 64512, `quantization` fp8, `quantization` awq, "
        "`quantization` gptq or `tensor_parallel` 2"
    )
    for change in ({"context": 64512}, {"quantization": "fp8"}, {"quantization": "awq"}, {"tensor": 2}):
        assert estimate(long, serving(**change), card("RTX 4090")).verdict is Fit.FITS


def test_layers_that_are_left_to_the_processor() -> None:
    weights = ModelWeights(WeightParts(linear=39 * GIB, head=GIB), "files")
    gguf = SizedModel("m", replace(shape("Llama-3.1-70B"), is_gguf=True), weights)
    serve = serving("llama.cpp", context=8192)
    hint = explained(gguf, serve, card("RTX 4090")).problems[-1].hint or ""
    assert hint == "it fits with `cpu_offload` 40 or `tensor_parallel` 3"
    assert estimate(gguf, replace(serve, share=Fraction(40, 80)), card("RTX 4090")).verdict is Fit.FITS
    assert estimate(gguf, replace(serve, share=Fraction(41, 80)), card("RTX 4090")).verdict is not Fit.FITS


def test_where_nothing_helps() -> None:
    assert (
        of("Llama-3.1-405B", "RTX 3050", context=2048).problems[-1].hint
        == "take a smaller model, or GPUs with more memory"
    )


def test_what_is_not_known_is_said() -> None:
    bare = SizedModel("x", None, None, "it is no JSON")
    found = estimate(bare, serving(), None)
    assert (found.verdict, found.terms.need, found.budget, found.max_context) == (Fit.UNKNOWN, None, None, None)
    assert [p.code for p in found.problems] == ["model-unread", "weights-unknown", "no-gpu"]
    heavy = replace(bare, weights=ModelWeights(WeightParts(linear=5), "files"))
    assert estimate(heavy, serving(), card("T4")).terms == Terms(weights=5)
    nameless = estimate(model("Llama-3.1-8B"), serving("openllm"), card("T4"))
    assert (nameless.verdict, nameless.terms.need) == (Fit.UNKNOWN, None)
    strange = estimate(model("Llama-3.1-8B"), serving(kv_dtype="bf17"), card("H100"))
    assert (strange.verdict, strange.terms.kv_cache) == (Fit.UNKNOWN, None)
    endless = estimate(model("Llama-3.1-8B", max_position_embeddings=None), serving(), card("H100"))
    assert (endless.verdict, endless.context) == (Fit.UNKNOWN, None)
    assert endless.max_context


def test_a_context_of_the_server_s_own() -> None:
    said = {gpu: of("Llama-3.1-8B", gpu, "ollama").context for gpu in ("RTX 3060", "L40S", "A100")}
    assert said == {"RTX 3060": 4096, "L40S": 32768, "A100": 131072}
