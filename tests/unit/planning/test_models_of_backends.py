"""Models that a backend has itself: by an image of their own, by a name that it knows, with a profile."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.values.operations import AwaitReady, CreateContainer
from deployer.values.plan import Plan
from deployer.values.secrets import SecretRef
from deployer.values.transfers import FillCache, MakeDirectory
from tests.unit.planning.scene import Scene

MODELS = {
    "llama": {"source": "ngc://nim/meta/llama-3.1-8b-instruct"},
    "own": {"source": "file:///srv/models/own"},
    "m3": {"source": "builtin://bge-m3"},
    "qwen": {"source": "builtin://qwen3"},
    "words": {"source": "builtin://whisper-large-v3"},
}
KEY = {"env": {"NGC_API_KEY": {"secret": "key"}}}
NIM: dict[str, Any] = {"model": "llama", "backend": "nim", "version": "1.8.4", **KEY}
BOX: dict[str, Any] = {"backend": "xinference", "placement": {"gpus": "none"}}


def plan_of(service: dict[str, Any], gpus: int = 2) -> Plan:
    return Scene({"h1": gpus}, sections={"models": MODELS}).plan({"chat": service})


def created(service: dict[str, Any]) -> CreateContainer:
    found = plan_of(service)
    assert not found.has_errors, found.problems
    (operation,) = [s.operation for s in found.steps if isinstance(s.operation, CreateContainer)]
    return operation


def problem_of(service: dict[str, Any]) -> tuple[str, str]:
    (problem,) = [p for p in plan_of(service).problems if p.severity == "error"]
    return problem.code, problem.message


def test_a_model_of_ngc_is_an_image_and_chooses_its_backend() -> None:
    made = created(NIM | {"backend": None})
    assert made.spec.image == "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.4"
    assert "NIM_FT_MODEL" not in made.spec.env
    assert made.spec.mounts[-1].target == "/opt/nim/.cache"


@pytest.mark.parametrize(
    ("image", "variable"),
    [
        ("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.4", "NIM_FT_MODEL"),
        ("nvcr.io/nim/meta/llama-3.1-8b-instruct:1", "NIM_FT_MODEL"),
        ("nvcr.io/nim/nvidia/llm-nim:1.12.0", "NIM_MODEL_NAME"),
        ("nvcr.io/nim/meta/llama-3.1-8b-instruct:2.0.1", "NIM_MODEL_PATH"),
    ],
)
def test_weights_of_ones_own_are_told_as_the_release_wants_it(image: str, variable: str) -> None:
    env = created(NIM | {"model": "own", "version": None, "image": image}).spec.env
    told = [name for name in ("NIM_FT_MODEL", "NIM_MODEL_NAME", "NIM_MODEL_PATH") if name in env]
    assert (told, env[variable]) == ([variable], "/models/own")


def test_an_image_of_ones_own_has_the_release_that_is_written_beside_it() -> None:
    service = NIM | {"model": "own", "image": "reg.local/nim-patched:7"}
    assert "NIM_FT_MODEL" in created(service | {"version": "1.10"}).spec.env
    assert "NIM_MODEL_PATH" in created(service | {"version": "2.1"}).spec.env


def test_a_moving_tag_is_of_the_release_that_is_written_beside_it() -> None:
    service = NIM | {"image": "nvcr.io/nim/meta/llama-3.1-8b-instruct:latest", "options": {"max_concurrency": 4}}
    assert created(service | {"version": "1.8"}).spec.env["NIM_MAX_NUM_SEQS"] == "4"
    newer = created(service | {"version": "2.1"}).spec
    assert (newer.image, newer.env["NIM_PASSTHROUGH_ARGS"]) == (service["image"], "--max-num-seqs 4")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"version": None}, "no-image", "no release of `nim` is named"),
        ({"version": "latest"}, "model-refused", "two generations"),
        ({"model": "own", "version": None, "image": "reg.local/nim:7"}, "model-refused", "two generations"),
        ({"options": {"max_batch_tokens": 4096}}, "flag-too-new", "`NIM_PASSTHROUGH_ARGS`"),
        ({"options": {"dtype": "float16"}}, "option-refused", "nim.profile"),
        ({"backend": "vllm", "model": "own", "version": None, "nim": {"profile": "x"}}, "nim-refused", "no profiles"),
    ],
)
def test_what_nim_cannot_do(changes: dict[str, Any], code: str, words: str) -> None:
    found, message = problem_of(NIM | changes)
    assert found == code
    assert words in message


def test_a_profile_is_given_and_auto_is_left_to_it() -> None:
    assert created(NIM | {"nim": {"profile": "vllm-bf16-tp1-pp1"}}).spec.env["NIM_MODEL_PROFILE"] == "vllm-bf16-tp1-pp1"
    assert "NIM_MODEL_PROFILE" not in created(NIM | {"nim": {"profile": "auto"}}).spec.env


def test_a_key_that_nothing_brings_is_a_warning() -> None:
    found = plan_of(NIM | {"env": {}})
    assert "env-missing" in {p.code for p in found.problems}
    assert not found.has_errors


def test_a_long_first_start_is_said_and_waited_for() -> None:
    (waits,) = [s.operation for s in plan_of(NIM).steps if isinstance(s.operation, AwaitReady)]
    assert waits.stall_timeout == 1800
    assert "builds an engine" in waits.note
    stricter = NIM | {"health": {"stall_timeout": "10s"}}
    (waits,) = [s.operation for s in plan_of(stricter).steps if isinstance(s.operation, AwaitReady)]
    assert waits.stall_timeout == 10


@pytest.mark.parametrize("backend", ["ollama", None])
@pytest.mark.parametrize(
    ("name", "category"),
    [("mxbai-embed-large", "embedding"), ("someone/bge-m3:567m", "embedding"), ("qwen3:8b", "llm")],
)
def test_ollama_knows_the_models_of_its_library_that_do_not_chat(backend: str | None, name: str, category: str) -> None:
    scene = Scene({"h1": 0}, sections={"models": {"m": {"source": f"ollama://{name}"}}})
    found = scene.plan({"chat": {"model": "m", "backend": backend, "placement": {"gpus": "none"}}})
    assert not found.has_errors, found.problems
    (made,) = [s.operation for s in found.steps if isinstance(s.operation, CreateContainer)]
    assert f'"category":"{category}"' in made.labels["deployer.decisions"].replace(" ", "")


@pytest.mark.parametrize(("model", "category"), [("m3", "embedding"), ("qwen", "llm"), ("words", "speech-to-text")])
def test_a_backend_knows_what_its_own_models_are_for(model: str, category: str) -> None:
    labels = created(BOX | {"model": model}).labels
    assert f'"category":"{category}"' in labels["deployer.decisions"].replace(" ", "")


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (
            [{"model": "qwen", "options": {"kv_cache_dtype": "fp8"}}],
            "its engine `transformers` is not known to have it",
        ),
        ([{"model": "qwen", "options": {"cpu_offload": "auto"}}], "`transformers` is not known to have it"),
        (
            [{"model": "qwen", "options": {"cpu_offload": "auto"}, "args": ["--model-engine", "vLLM"]}],
            "a number, of GiB",
        ),
        ([{"model": "m3", "options": {"context_length": 512}}], "not for a model of category `embedding`"),
        ([{"model": "qwen", "options": {"lora": {"a": "/a"}}}], "one `lora` for all of its models"),
    ],
)
def test_options_of_models_that_are_refused(models: list[dict[str, Any]], words: str) -> None:
    code, message = problem_of(BOX | {"models": models})
    assert code == "option-refused"
    assert words in message


def test_code_of_a_model_that_runs_whatever_is_said_is_refused() -> None:
    wary = BOX | {"model": "m3", "options": {"trust_remote_code": False}}
    assert "releases before 3.0 run the code" in problem_of(wary | {"version": "v1.5.0"})[1]
    assert not plan_of(wary | {"version": "v3.2.1"}).has_errors
    assert not plan_of(wary | {"version": "v1.5.0", "model": "qwen"}).has_errors


def test_options_of_an_engine_are_those_of_the_release() -> None:
    long = BOX | {"model": "qwen", "options": {"context_length": 512}}
    assert "`transformers` is not known to have it" in problem_of(long | {"version": "v1.5.0"})[1]
    assert not plan_of(long | {"version": "v3.2.1"}).has_errors


@pytest.mark.parametrize(
    ("models", "code"),
    [
        ([{"model": "qwen", "args": ["vLLM"]}], "args-refused"),
        ([{"model": "qwen", "served_name": ["a", "b"]}], "names-refused"),
    ],
)
def test_words_of_models_that_are_refused(models: list[dict[str, Any]], code: str) -> None:
    assert problem_of(BOX | {"models": models})[0] == code


PROFILE = "ac34857f" * 8


def fills(service: dict[str, Any]) -> list[tuple[str, ...]]:
    steps = plan_of(service).steps
    found = [step for step in steps if isinstance(step.operation, FillCache)]
    for step in found:
        made = {s.id for s in steps if isinstance(s.operation, MakeDirectory)}
        assert made <= set(step.needs), "its cache is there"
        assert all(step.id in s.needs for s in steps if isinstance(s.operation, CreateContainer))
    return [step.operation.spec.command for step in found if isinstance(step.operation, FillCache)]


def test_a_model_of_ngc_is_fetched_ahead_by_its_own_image() -> None:
    service = NIM | {"nim": {"profile": PROFILE}, "replicas": 2}
    assert fills(service) == [("download-to-cache", "-p", PROFILE)]
    (operation,) = [s.operation for s in plan_of(service).steps if isinstance(s.operation, FillCache)]
    assert (operation.spec.gpus, operation.spec.ports, operation.spec.restart) == ((), (), "no")
    assert operation.spec.mounts == created(service | {"replicas": 1}).spec.mounts
    assert operation.spec.env["NGC_API_KEY"] == SecretRef("key")
    assert operation.labels["deployer.role"] == "task"


@pytest.mark.parametrize(
    "change",
    [
        {"nim": {"profile": "auto"}},
        {"nim": {"profile": "vllm-bf16-tp1-pp1"}},
        {"env": {}},
        {"version": "2.0.1"},
        {"model": "own", "version": None, "image": "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.4"},
    ],
)
def test_what_cannot_be_fetched_ahead_is_fetched_at_the_start(change: dict[str, Any]) -> None:
    assert fills(NIM | {"nim": {"profile": PROFILE}} | change) == []
