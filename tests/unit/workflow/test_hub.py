"""Models on a Hub: what is asked of it, and what becomes of bad answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.engine.model_reading import read_model
from deployer.errors import DeployerError, Diagnostic
from deployer.planning.estimate_request import SizedModel
from deployer.workflow.hub import MOST_LISTED, HubFiles, HubModel
from tests.support.fakehub import FakeHub
from tests.support.weightfiles import write_llama

ID = "meta-llama/Llama-3.2-1B"
LIST = f"/api/models/{ID}/revision/main"
CONFIG = f"/{ID}/resolve/main/config.json"
WEIGHTS = f"/{ID}/resolve/main/model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "t" * 20)
    with FakeHub(ID, write_llama(tmp_path / "m")).running() as running:
        yield running


def read(hub: FakeHub) -> SizedModel:
    return read_model(HubFiles(HubModel.parse(f"hf://{ID}"), f"hf://{ID}", hub.url))


def refusal(hub: FakeHub) -> Diagnostic:
    with pytest.raises(DeployerError) as caught:
        read(hub)
    return caught.value.diagnostics[0]


def test_only_headers_are_read(hub: FakeHub) -> None:
    found = read(hub)
    assert found.weights is not None
    assert (found.weights.parameters, found.weights.source) == (1_235_814_400, "tensors")
    assert [path for path, _, _ in hub.asked] == [LIST, CONFIG, WEIGHTS]
    assert hub.asked[-1][1] == "bytes=0-131071"
    assert {token for _, _, token in hub.asked} == {"Bearer hf_" + "t" * 20}


def test_a_server_without_ranges(hub: FakeHub) -> None:
    hub.ranges = False
    assert read(hub).weights is not None


def test_the_token_goes_to_no_other_host(hub: FakeHub) -> None:
    elsewhere = f"{hub.url.replace('127.0.0.1', 'localhost')}/cdn"
    with (hub.folder / "model.safetensors").open("rb") as file:
        beginning = file.read(131072)
    hub.answers[WEIGHTS] = (302, {"Location": elsewhere}, b"")
    hub.answers["/cdn"] = (206, {}, beginning)
    assert read(hub).weights is not None
    assert hub.asked[-1] == ("/cdn", "bytes=0-131071", None)


@pytest.mark.parametrize(
    ("path", "answer", "code", "words"),
    [
        (LIST, (404, {"X-Error-Code": "RepoNotFound"}, b""), "model-not-found", "is not on the Hub"),
        (LIST, (401, {}, b""), "model-not-found", "is not on the Hub"),
        (CONFIG, (403, {"X-Error-Code": "GatedRepo"}, b""), "model-gated", "is only for those who asked for it"),
        (LIST, (404, {"X-Error-Code": "RevisionNotFound"}, b""), "revision-not-found", "has no revision `main`"),
        (LIST, (503, {}, b"<html>"), "hub-failed", "the Hub answered 503"),
        (LIST, (200, {}, b"<!DOCTYPE html>"), "hub-failed", "is no list of files"),
        (LIST, (200, {}, b"[" * 100_000), "hub-failed", "is no list of files"),
        (LIST, (200, {}, b'{"siblings": {}}'), "hub-failed", "is no list of files"),
        (LIST, (200, {}, b'{"siblings": [{}, 7, {"rfilename": "../x"}]}'), "no-model-there", "holds no model"),
        (WEIGHTS, (200, {}, b"<!DOCTYPE html>"), "bad-model-file", "is not what its name says"),
        (WEIGHTS, (206, {}, b"\xff" * 64), "bad-model-file", "is not what its name says"),
        (WEIGHTS, (416, {}, b""), "bad-model-file", "it is cut off in its first 8 bytes"),
    ],
)
def test_bad_answers(hub: FakeHub, path: str, answer: tuple[int, dict[str, str], bytes], code: str, words: str) -> None:
    hub.answers[path] = answer
    problem = refusal(hub)
    assert problem.code == code
    assert words in problem.message
    assert "hf_t" not in f"{problem}"


def test_an_answer_without_end_is_cut(hub: FakeHub) -> None:
    hub.endless = True
    files = HubFiles(HubModel.parse(f"hf://{ID}"), "x", hub.url)
    assert len(files.read("config.json", 0, 1 << 20)) == 1 << 20
    hub.answers[LIST] = (200, {}, json.dumps({"siblings": []}).encode())
    assert files.sizes() == {}, f"blanks after it, {MOST_LISTED} bytes of them"


def test_a_hub_that_is_not_there() -> None:
    with pytest.raises(DeployerError) as caught:
        HubFiles(HubModel.parse(f"hf://{ID}"), f"hf://{ID}", "http://127.0.0.1:1").sizes()
    problem = caught.value.diagnostics[0]
    assert problem.code == "hub-unreachable"
    assert problem.message.startswith(f"`hf://{ID}` cannot be read from http://127.0.0.1:1: ")


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("hf://gpt2", HubModel("gpt2")),
        ("hf://Qwen/Qwen2.5-7B-Instruct", HubModel("Qwen/Qwen2.5-7B-Instruct")),
        ("hf://Qwen/Qwen3-8B@refs/pr/1", HubModel("Qwen/Qwen3-8B", "refs/pr/1")),
        ("hf://a/b@v1.0/sub/x-q4_k_m.gguf", HubModel("a/b", "v1.0", "sub/x-q4_k_m.gguf")),
        ("hf://a/b/x.gguf", HubModel("a/b", "main", "x.gguf")),
    ],
)
def test_names(text: str, model: HubModel) -> None:
    assert HubModel.parse(text) == model


@pytest.mark.parametrize(
    "text", ["hf://", "hf://a/b/c", "hf://a/../b.gguf", "hf://a/b?x", "hf://a b", "hf://a/b#\n", "hf://\x1b"]
)
def test_names_of_nothing(text: str) -> None:
    with pytest.raises(DeployerError) as caught:
        HubModel.parse(text)
    assert caught.value.diagnostics[0].code == "bad-hub-id"
