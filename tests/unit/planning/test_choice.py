"""Which backend serves a service, and why."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from deployer.planning.choice import Seen, ServiceChoice, choose
from deployer.planning.hosts import HostIndex
from deployer.planning.replicas import found_replicas
from deployer.values.facts import HostFacts, PathFact
from tests.support.plantext import changes_of, problems_of
from tests.unit.planning.scene import CPU, Scene

GGUF = {"source": "file:///srv/models/m.gguf"}
FOLDER = {"source": "file:///srv/models/llama"}


def scene(model: dict[str, Any], *entries: str, **sections: Any) -> Scene:
    def look(facts: HostFacts) -> HostFacts:
        path = model["source"].removeprefix("file://")
        known = PathFact(path, "directory", entries=entries) if entries else PathFact(path, "file", size=1)
        return replace(facts, paths={**facts.paths, path: known})

    return Scene({"h1": 0}, sections={"models": {"m": model}, **sections}, seen=look)


def chosen(of: Scene, **service: Any) -> Any:
    project = of.project({"chat": {"backend": None, "placement": CPU, **service}})
    state = of.observed(project)
    found = [item for items in found_replicas(state).values() for item in items]
    return choose(project, "chat", Seen(state.reachable, HostIndex(project.spec)), found)


@pytest.mark.parametrize(
    ("model", "entries", "backend", "why"),
    [
        (GGUF, (), "llama.cpp", "the model's format is gguf"),
        (FOLDER, ("config.json", "model.safetensors"), "vllm", "the model's format is safetensors"),
        (FOLDER, ("m-q4.gguf",), "llama.cpp", "the model's format is gguf"),
    ],
)
def test_the_format_decides(model: dict[str, Any], entries: tuple[str, ...], backend: str, why: str) -> None:
    choice = chosen(scene(model, *entries))
    assert isinstance(choice, ServiceChoice)
    assert (choice.backend.name, choice.backend_name, choice.why_backend) == (backend, backend, why)
    assert choice.category == "llm"


def test_the_spec_wins() -> None:
    choice = chosen(scene(GGUF), backend="vllm")
    assert (choice.backend.name, choice.why_backend) == ("vllm", "")


def test_an_alias_is_as_good_as_the_name() -> None:
    choice = chosen(scene(GGUF), backend="llama-server")
    assert (choice.backend.name, choice.backend_name) == ("llama.cpp", "llama-server")


def test_what_was_decided_before_stays_while_the_model_is_the_same() -> None:
    before = scene(FOLDER, "config.json", "model.safetensors")
    before.apply({"chat": {"backend": None, "placement": CPU}})
    before.seen = scene(FOLDER, "config.json").seen
    assert chosen(before).why_backend == "decided before"
    assert chosen(before).backend.name == "vllm"


def test_another_model_is_decided_anew() -> None:
    before = scene(FOLDER, "config.json", "model.safetensors")
    before.apply({"chat": {"backend": None, "placement": CPU}})
    after = scene(GGUF)
    after.world = before.world
    choice = chosen(after)
    assert (choice.backend.name, choice.why_backend) == ("llama.cpp", "the model's format is gguf")


def test_a_decision_for_a_backend_that_is_gone_does_not_count() -> None:
    before = scene(GGUF)
    before.apply({"chat": {"backend": None, "placement": CPU}})
    box = before.box("chat-0")
    box.labels["deployer.decisions"] = json.dumps({**json.loads(box.labels["deployer.decisions"]), "backend": "gone"})
    assert chosen(before).why_backend == "the model's format is gguf"


def test_hosts_that_disagree_do_not_decide() -> None:
    before = scene(GGUF)
    before.gpus["h2"] = 0
    before.world.__post_init__()
    before.apply({"chat": {"backend": None, "placement": CPU, "replicas": 2}})
    box = before.box("chat-1")
    box.labels["deployer.decisions"] = json.dumps({**json.loads(box.labels["deployer.decisions"]), "backend": "vllm"})
    assert chosen(before).why_backend == "the model's format is gguf"
    assert chosen(before).backend.name == "llama.cpp"


def test_a_format_that_nobody_knows() -> None:
    found = scene(FOLDER, "config.json").plan({"chat": {"backend": None, "placement": CPU}})
    assert problems_of(found) == [
        "error no-backend: no backend for service `chat`: the format of `file:///srv/models/llama` is not known"
    ]
    assert found.problems[0].hint == "name one with `backend`, or correct the model's `source` or `category`"


@pytest.mark.parametrize(
    ("category", "able"),
    [
        ("text-to-speech", "`container`, `localai`, `vox-box`, `xinference`"),
        ("image", "`container`, `localai`, `xinference`"),
    ],
)
def test_a_category_that_nothing_is_chosen_for_says_who_serves_it(category: str, able: str) -> None:
    found = scene(FOLDER | {"category": category}, "config.json", "model.safetensors").plan(
        {"chat": {"backend": None, "placement": CPU}}
    )
    (problem,) = [one for one in found.problems if one.code == "no-backend"]
    assert problem.message.endswith(f"nothing is chosen by itself for safetensors models of category `{category}`")
    assert problem.hint == f"name one with `backend`; of category `{category}` are {able}"


def test_a_category_that_the_backend_does_not_serve() -> None:
    found = scene(GGUF | {"category": "image"}).plan({"chat": {"placement": CPU}})
    assert problems_of(found) == [
        "error category-refused: `llama.cpp` does not serve models of category `image` (service `chat`)"
    ]
    assert found.problems[0].hint == "it serves `llm`, `embedding`, `reranker`"


def test_an_extended_backend() -> None:
    extended = {"mine": {"extends": "base", "image": "reg.local/mine:3"}, "base": {"extends": "llama.cpp"}}
    choice = chosen(scene(GGUF, backends=extended), backend="mine")
    assert (choice.backend.name, choice.backend_name, choice.pin.image.name) == (
        "llama.cpp",
        "mine",
        "reg.local/mine:3",
    )


def test_a_backend_that_is_not_known() -> None:
    found = scene(GGUF).plan({"chat": {"backend": "nope", "placement": CPU}})
    assert problems_of(found) == ["error unknown-backend: backend `nope` of service `chat` is not known"]


def test_extends_in_a_circle_ends() -> None:
    circle = {"a": {"extends": "b"}, "b": {"extends": "a"}}
    found = scene(GGUF, backends=circle).plan({"chat": {"backend": "a", "placement": CPU}})
    assert [p.code for p in found.problems] == ["unknown-backend"]


def test_a_draft_model_that_is_not_there() -> None:
    options = {"speculative": {"model": "small", "tokens": 4}}
    found = scene(GGUF).plan({"chat": {"placement": CPU, "options": options}})
    assert problems_of(found) == ["error unknown-model: draft model `small` of service `chat` is not in `models`"]


@pytest.mark.parametrize(
    ("written", "said", "key"),
    [
        ({"image": "Bad Image"}, "`Bad Image` is not an image", "image"),
        ({"image": "a@sha256:1"}, "`a@sha256:1` has no digest after `@`", "image"),
        ({"version": "no tag"}, "`ghcr.io/ggml-org/llama.cpp:no tag` has a bad tag", "version"),
    ],
)
def test_an_image_that_is_none(written: dict[str, str], said: str, key: str) -> None:
    found = scene(GGUF).plan({"chat": {"placement": CPU, "replicas": 2, **written}})
    (problem,) = found.problems
    assert problem.code == "bad-image"
    assert problem.message.startswith(said)
    assert problem.hint == f"correct `{key}` of the service or of its backend"
    assert found.is_empty


def test_an_image_in_a_label_that_is_none_is_not_kept() -> None:
    before = scene(GGUF)
    before.apply({"chat": {"placement": CPU}})
    box = before.box("chat-0")
    box.labels["deployer.decisions"] = json.dumps({**json.loads(box.labels["deployer.decisions"]), "image": "Bad !"})
    assert before.plan({"chat": {"placement": CPU}}).is_empty


def test_a_service_without_a_model() -> None:
    found = scene(GGUF).plan({"chat": {"model": None, "placement": CPU}})
    assert problems_of(found) == ["error no-model: service `chat` names no model"]


def test_a_service_without_a_backend_keeps_what_it_has() -> None:
    before = scene(GGUF)
    before.apply({"chat": {"placement": CPU}})
    found = before.plan({"chat": {"backend": "nope", "placement": CPU}})
    assert changes_of(found) == []
    assert found.is_empty
    assert found.has_errors


CONFIG = ("config.json", "model.safetensors")


@pytest.mark.parametrize(
    ("says", "entries", "category"),
    [
        ({"architectures": ("LlamaForCausalLM",)}, CONFIG, "llm"),
        ({"architectures": ("Qwen3ForCausalLM",)}, (*CONFIG, "modules.json"), "embedding"),
        ({"architectures": ("ChatGLMModel",)}, CONFIG, "llm"),
        ({"architectures": ("GPT2LMHeadModel",)}, CONFIG, "llm"),
        ({"architectures": ("InternVLChatModel",)}, CONFIG, "llm"),
        ({"architectures": ("XLMRobertaModel",)}, CONFIG, "embedding"),
        ({"architectures": ("XLMRobertaForSequenceClassification",)}, CONFIG, "reranker"),
        ({"architectures": ("llama",)}, ("m.gguf",), "llm"),
        ({"architectures": ("nomic-bert",)}, ("m.gguf",), "embedding"),
        ({"architectures": ("qwen3",), "pooling": 3}, ("m.gguf",), "embedding"),
        ({"architectures": ("qwen3",), "pooling": 4}, ("m.gguf",), "reranker"),
        ({}, CONFIG, "llm"),
    ],
)
def test_the_files_tell_the_category(says: dict[str, Any], entries: tuple[str, ...], category: str) -> None:
    of = scene(FOLDER, *entries)
    look = of.seen
    of.seen = lambda facts: with_head(look(facts), says)
    assert chosen(of).category == category


def with_head(facts: HostFacts, says: dict[str, Any]) -> HostFacts:
    path = FOLDER["source"].removeprefix("file://")
    return replace(facts, paths={**facts.paths, path: replace(facts.paths[path], **says)})


def test_the_reason_is_in_the_plan() -> None:
    of = scene(GGUF)
    found = of.plan({"chat": {"backend": None, "placement": CPU}})
    assert changes_of(found) == ["chat-0 create h1 (change): new, backend-chosen"]
    assert found.changes[0].reasons[1].message == "`llama.cpp` serves it, since the model's format is gguf"


def test_a_category_for_which_nothing_is_chosen_is_an_error() -> None:
    of = scene({**FOLDER, "category": "image"}, *CONFIG)
    (problem,) = problems_of(of.plan({"chat": {"backend": None, "placement": CPU}}))
    assert problem.startswith("error no-backend: no backend for service `chat`: nothing is chosen by itself")


ENCODER = {"architectures": ("XLMRobertaModel",)}


@pytest.mark.parametrize(
    ("says", "placement", "backend", "why"),
    [
        (ENCODER, {"gpus": "none"}, "tei", "its category embedding, and there is no GPU for it"),
        (ENCODER, {}, "tei", "its category embedding, and there is no GPU for it"),
        ({"architectures": ("BertForSequenceClassification",)}, {}, "tei", "its category reranker"),
        ({"architectures": ("LlamaForCausalLM",)}, {}, "vllm", "the model's format is safetensors"),
    ],
)
def test_where_there_are_no_gpus_others_are_chosen(
    says: dict[str, Any], placement: dict[str, Any], backend: str, why: str
) -> None:
    of = scene(FOLDER, *CONFIG)
    look = of.seen
    of.seen = lambda facts: with_head(look(facts), says)
    choice = chosen(of, placement=placement)
    assert choice.backend.name == backend
    assert why in choice.why_backend


def test_where_there_are_gpus_the_same_model_is_for_them() -> None:
    of = scene(FOLDER, *CONFIG)
    look = of.seen
    of.gpus["h1"] = 1
    of.world.__post_init__()
    of.seen = lambda facts: with_head(look(facts), ENCODER)
    assert chosen(of, placement={}).backend.name == "vllm"
    assert chosen(of).backend.name == "tei"


def test_images_and_files_for_programs_of_their_own() -> None:
    of = scene(FOLDER, *CONFIG, "model_index.json")
    (problem,) = problems_of(of.plan({"chat": {"backend": None, "placement": CPU}}))
    assert "nothing is chosen by itself for safetensors models of category `image`" in problem
