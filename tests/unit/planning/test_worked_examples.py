"""Estimates of whole servers, worked out by hand from what start-up logs of these engines said of alike models.

Sources of the terms: logs of vLLM ("model weights take", "GPU KV cache size", "Maximum concurrency") and of llama.cpp
("load_tensors", "KV self size"); memory of cards as cudaMemGetInfo gives it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.planning.estimate import estimate, longest_context
from deployer.planning.estimate_request import SizedModel
from deployer.values.estimate import Fit
from deployer.values.model_weights import ModelWeights, WeightParts
from tests.support.estimates import card, model, serving
from tests.support.models import shape

GIB = 1 << 30
INT4 = {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
FP8 = {"quantization_config": {"quant_method": "fp8"}}
LONG = {"max_position_embeddings": 1 << 20}


@pytest.mark.parametrize(
    ("name", "changes", "gpu", "options", "verdict", "weights"),
    [
        ("Qwen2.5-7B", {}, "RTX 4090", {"context": 32768}, Fit.FITS, 14.19),
        ("Qwen2.5-7B", LONG, "RTX 4090", {"context": 131072}, Fit.NO, 14.19),
        ("Qwen2.5-7B", LONG, "RTX 4090", {"context": 131072, "kv_dtype": "fp8"}, Fit.TIGHT, 14.19),
        ("Qwen2.5-7B", LONG | INT4, "RTX 4090", {"context": 131072}, Fit.FITS, 5.2),
        ("Qwen2.5-7B", {}, "T4", {"context": 4096, "dtype": "half"}, Fit.NO, 14.19),
        ("Qwen2.5-7B", INT4, "T4", {"context": 32768, "dtype": "half"}, Fit.FITS, 5.2),
        ("Qwen2.5-32B", LONG, "NVIDIA A100-SXM4-80GB", {"context": 262144, "tensor": 2}, Fit.FITS, 30.5),
        ("Llama-3.1-70B", FP8, "H100", {"context": 131072, "tensor": 2}, Fit.FITS, 33.8),
        ("DeepSeek-V3", {}, "H200", {"context": 131072, "tensor": 8}, Fit.FITS, 80.2),
        ("DeepSeek-V3", {}, "H100", {"context": 8192, "tensor": 8}, Fit.NO, 80.2),
        ("DeepSeek-V3", {}, "H100", {"context": 8192, "tensor": 8, "stages": 2}, Fit.FITS, 41.0),
        ("gpt-oss-120b", {}, "H100", {"context": 65536}, Fit.TIGHT, 65.0),
        ("gpt-oss-20b", {}, "L4", {"context": 98304}, Fit.FITS, 13.72),
    ],
)
def test_servers_on_their_gpus(
    name: str, changes: dict[str, Any], gpu: str, options: dict[str, Any], verdict: Fit, weights: float
) -> None:
    found = estimate(model(name, **changes), serving(**options), card(gpu))
    assert found.verdict is verdict
    assert (found.terms.weights or 0) / GIB == pytest.approx(weights, rel=0.025)


@pytest.mark.parametrize(
    ("name", "changes", "gpu", "options", "tokens"),
    [
        ("Qwen2.5-7B", LONG, "RTX 4090", {}, 103_000),
        ("Qwen2.5-7B", LONG | INT4, "T4", {"dtype": "half"}, 118_000),
        ("Qwen2.5-32B", LONG, "NVIDIA A100-SXM4-80GB", {"tensor": 2}, 315_000),
    ],
)
def test_how_many_tokens_there_is_room_for(
    name: str, changes: dict[str, Any], gpu: str, options: dict[str, Any], tokens: int
) -> None:
    found = longest_context(model(name, **changes), serving(**options), card(gpu))
    assert found == pytest.approx(tokens, rel=0.08)


@pytest.mark.parametrize(
    ("context", "kind", "verdict"),
    [(8192, None, Fit.TIGHT), (32768, None, Fit.NO), (32768, "q8_0", Fit.TIGHT)],
)
def test_a_large_gguf_on_two_gpus(context: int, kind: str | None, verdict: Fit) -> None:
    """Llama-3.3-70B in Q4_K_M, 39.59 GiB: at 8192 tokens 43.4 of 47.2 GiB."""
    made = replace(shape("Llama-3.1-70B"), is_gguf=True)
    weights = ModelWeights(WeightParts(linear=int(39.59 * GIB)), "files")
    wanted = serving("llama.cpp", context=context, kv_dtype=kind, tensor=2)
    assert estimate(SizedModel("m", made, weights), wanted, card("RTX 4090")).verdict is verdict
