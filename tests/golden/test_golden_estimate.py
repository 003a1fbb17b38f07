"""What `estimate` prints, reviewed as prose, and its JSON held against its schema."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from deployer.planning.estimate_choices import usual_choices
from deployer.planning.estimate_fixes import explained
from deployer.planning.estimate_request import SizedModel
from deployer.values.estimate import Estimate
from deployer.view.estimate import estimate_json, render_estimate
from deployer.view.json_text import render_json
from deployer.view.output_schemas import output_schema
from tests.conftest import Golden
from tests.support.estimates import card, model, serving


def of(name: str, gpu: str | None, backend: str = "vllm", count: int | None = None, **options: Any) -> Estimate:
    return explained(model(name), serving(backend, **options), card(gpu) if gpu else None, count)


def anywhere() -> Estimate:
    here = replace(model("Qwen3-32B"), name="hf://Qwen/Qwen3-32B")
    choices = usual_choices(here, serving(), tensor_given=False)
    return replace(explained(here, serving(), None), choices=tuple(choices))


def hostile() -> Estimate:
    nasty = "\x1b[31m\n::set-env name=x::y\r##[error]\u202e"
    return explained(SizedModel(nasty, None, None, nasty), serving(), card("T4"))


CASES = {
    "fits": of("Qwen2.5-32B", "A100", tensor=2, sequences=4),
    "tight": of("gpt-oss-20b", "L4"),
    "no": of("Llama-3.1-8B", "RTX 4090", quantization="gptq", context=131072, kv_dtype="fp8", sequences=2),
    "forbidden": of("Qwen2.5-7B", "RTX 4090", count=4, tensor=8, dtype="float16", loras=2),
    "unknown": of("DeepSeek-V3", None, kv_dtype="fp9"),
    "anywhere": anywhere(),
    "hostile": hostile(),
}


@pytest.mark.parametrize("name", CASES)
def test_estimate(golden: Golden, name: str) -> None:
    text = render_estimate(CASES[name]).render()
    golden.check(f"golden/estimate/{name}.txt", text)
    data = render_json(estimate_json(CASES[name]))
    jsonschema.validate(json.loads(data), output_schema("estimate"))
    assert "\x1b" not in text + data


def test_the_json_of_one(golden: Golden) -> None:
    golden.check("golden/estimate/fits.json", render_json(estimate_json(CASES["fits"])))
