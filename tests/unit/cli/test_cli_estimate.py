"""`deployer estimate`: what it takes, what it prints, how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployer.cli.app import run
from tests.support.fakehub import FakeHub
from tests.support.models import CONFIGS
from tests.support.weightfiles import write_llama


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "llama", "Llama-3.1-8B")


def asked(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, Any]:
    code = run(["estimate", *argv, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_every_option_is_in_the_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--gpu H100 --count 8 --context 8192 --concurrency 4 --backend sglang --dtype float16 --quantization fp8"
    parallel = "--kv-dtype fp8_e5m2 --tensor-parallel 2 --pipeline-parallel 2"
    code, said = asked(capsys, str(folder), *options.split(), *parallel.split())
    assert (code, said["verdict"], said["model"], said["backend"]) == (0, "fits", str(folder), "sglang")
    assert (said["gpu"], said["count"], said["params"]) == ("NVIDIA H100 80GB HBM3", 8, 8_030_261_248)
    assert (said["tensor_parallel"], said["pipeline_parallel"], said["context"]) == (2, 2, 8192)
    assert said["kv_bytes_per_token"] == 131072 // 8
    assert said["per_gpu"]["kv_cache"] == 4 * 8192 * 131072 // 8


def test_what_does_not_fit_ends_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = asked(capsys, str(folder), "--gpu", "T4", "--count", "1")
    assert (code, said["verdict"], said["max_context"]) == (1, "no", 0)
    assert "does-not-fit" in [reason["code"] for reason in said["reasons"]]


def test_the_fewest_gpus_are_chosen(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = asked(capsys, str(folder), "--gpu", "T4", "--context", "8192", "--dtype", "half")
    assert (code, said["tensor_parallel"], said["count"], said["verdict"]) == (0, 2, 2, "fits")


def test_without_a_gpu_nothing_is_promised(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = asked(capsys, str(folder / "config.json"))
    assert (code, said["verdict"], said["gpu"], said["per_gpu"]["budget"]) == (0, "unknown", None, None)
    fits_on = {choice["gpu"]: choice["tensor_parallel"] for choice in said["fits_on"]}
    assert (fits_on["NVIDIA H200"], fits_on["NVIDIA L4"], fits_on["Tesla T4"]) == (1, 4, 4)
    code, said = asked(capsys, str(folder), "--gpu", "GB10")
    assert (code, said["verdict"], said["gpu"]) == (0, "unknown", "NVIDIA GB10")
    assert [reason["code"] for reason in said["reasons"]] == ["gpu-memory-unknown"]


def test_a_model_of_the_hub(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHub("meta/llama", folder).running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        code, said = asked(capsys, "hf://meta/llama", "--gpu", "H100")
    assert (code, said["verdict"], said["model"]) == (0, "fits", "hf://meta/llama")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("nowhere",), "model-not-found"), (("s3://x/y",), "unknown-source"), (("hf://a/b/c/d",), "bad-hub-id"),
        (("{folder}", "--gpu", "H1000"), "unknown-gpu"), (("{folder}", "--gpu", "MI300X"), "unsupported-gpu"),
        (("{folder}", "--backend", "vlm"), "unknown-backend"), (("{folder}/model.safetensors",), "no-model-there"),
    ],
)  # fmt: skip
def test_what_is_not_there(folder: Path, argv: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended, said = asked(capsys, *(word.replace("{folder}", str(folder)) for word in argv))
    assert (ended, [problem["code"] for problem in said["problems"]]) == (1, [code])


def test_a_model_of_the_hub_without_its_scheme(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", "Qwen/Qwen3-8B"]) == 1
    assert "hint: for the model of the Hub write `hf://Qwen/Qwen3-8B`" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [(), ("x", "--count", "0"), ("x", "--context", "-1"), ("x", "--concurrency", "many")])
def test_usage(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["estimate", *argv]) == 64
    assert "error[usage]" in capsys.readouterr().err


def test_an_absurd_config_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIGS["Qwen2.5-7B"], "num_hidden_layers": 1e308}))
    assert run(["estimate", str(path)]) == 1
    assert "its `num_hidden_layers` is a huge number, which no model has" in capsys.readouterr().err
