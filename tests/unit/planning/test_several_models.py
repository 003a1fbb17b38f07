"""Services that serve several models: each has names, options and a request of its own."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from deployer.planning.readiness import probes_of_found
from deployer.planning.replicas import found_replicas
from deployer.spec.load import load
from deployer.values.operations import EnsureSetup, Probe
from deployer.values.plan import Plan
from deployer.values.setup import HttpCall
from tests.support.plantext import changes_of, steps_of
from tests.unit.planning.scene import CPU, Scene, placements_of, refusals_of

MODELS = {
    "chat": {"source": "ollama://qwen3:8b"},
    "vectors": {"source": "ollama://bge-m3", "category": "embedding"},
    "own": {"source": "file:///srv/models/own.gguf"},
}
TWO = [{"model": "chat"}, {"model": "vectors", "served_name": ["vectors", "bge"]}]
BOX: dict[str, Any] = {"backend": "ollama", "models": TWO, "placement": CPU}


def scene(gpus: int = 0) -> Scene:
    return Scene({"h1": gpus}, sections={"models": MODELS})


def plan_of(service: dict[str, Any]) -> Plan:
    return scene().plan({"box": service})


def problem_of(service: dict[str, Any]) -> tuple[str, str]:
    (problem,) = [p for p in plan_of(service).problems if p.severity == "error"]
    return problem.code, problem.message


def tasks_of(found: Plan) -> list[str]:
    return [s.operation.task.name for s in found.steps if isinstance(s.operation, EnsureSetup)]


def test_each_name_is_set_up_and_each_model_is_asked() -> None:
    found = plan_of(BOX)
    derived = ["model `chat` with its options", "model `vectors` with its options"]
    fetched, named = ["source `qwen3:8b`", "source `bge-m3`"], ["name `chat`", "name `vectors`", "name `bge`"]
    assert tasks_of(found) == [*fetched, *derived, *named]
    asked = [(s.operation.category, s.operation.models) for s in found.steps if isinstance(s.operation, Probe)]
    assert asked == [("llm", ("chat:latest",)), ("embedding", ("vectors:latest", "bge:latest"))]
    assert len({step.id for step in found.steps}) == len(found.steps)


def test_they_come_one_after_the_other() -> None:
    verified = [step for step in plan_of(BOX).steps if isinstance(step.operation, EnsureSetup | Probe)]
    assert all(later.needs == (step.id,) for step, later in pairwise(verified))


def test_a_model_that_is_added_is_added_alone() -> None:
    here = scene()
    here.apply({"box": BOX | {"models": TWO[:1]}})
    found = here.plan({"box": BOX})
    added = ["source `bge-m3`", "model `vectors` with its options", "name `vectors`", "name `bge`"]
    assert tasks_of(found) == added
    assert changes_of(found) == ["box-0 update h1 (change): " + ", ".join(["setup-missing"] * len(added))]
    assert next(iter(steps_of(found))) == "h1/box-0/setup"


def test_options_of_one_model_change_that_one() -> None:
    here = scene()
    here.apply({"box": BOX})
    edited = [TWO[0] | {"options": {"context_length": 4096}}, TWO[1]]
    found = here.plan({"box": BOX | {"models": edited}})
    assert tasks_of(found) == ["model `chat` with its options", "name `chat`"]


def test_what_a_model_leaves_out_is_as_the_service_says() -> None:
    own = [TWO[0] | {"options": {"context_length": 4096}}, TWO[1]]
    found = plan_of(BOX | {"options": {"context_length": 512}, "models": own})
    operations = [s.operation for s in found.steps if isinstance(s.operation, EnsureSetup)]
    bodies = [call.body for o in operations for call in o.task.do if isinstance(call, HttpCall)]
    assert [body["parameters"]["num_ctx"] for body in bodies if "parameters" in body] == [4096, 512]


def test_a_name_is_changed_when_all_models_have_answered() -> None:
    """So what fails leaves every name as it was, for who else serves from the same store."""
    operations = [s.operation for s in plan_of(BOX).steps if isinstance(s.operation, EnsureSetup)]
    calls = [call for o in operations for call in o.task.do if isinstance(call, HttpCall)]
    asked = [index for index, call in enumerate(calls) if call.path in ("/api/generate", "/api/embed")]
    named = [
        index
        for index, call in enumerate(calls)
        if call.path == "/api/copy" and not call.body["destination"].startswith("deployer/")
    ]
    assert (len(asked), len(named)) == (2, 3)
    assert max(asked) < min(named)


def test_the_category_of_an_entry_beats_the_models() -> None:
    found = plan_of(BOX | {"models": [{"model": "vectors", "category": "llm"}]})
    assert [s.operation.category for s in found.steps if isinstance(s.operation, Probe)] == ["llm"]


def test_a_host_that_lacks_one_of_them_is_no_place() -> None:
    here = scene()
    here.seen = lambda facts: replace(facts, paths={})
    (why,) = refusals_of(here.plan({"box": BOX | {"models": [*TWO, {"model": "own"}]}}))
    assert "`/srv/models/own.gguf` is not there" in why


def test_files_of_several_models_have_folders_of_their_own() -> None:
    here = scene()
    here.apply({"box": BOX | {"models": [{"model": "own"}, {"model": "chat"}]}})
    targets = [mount.target for mount in here.box("box-0").spec.mounts]
    assert "/models/own/own.gguf" in targets


def test_what_runs_is_asked_for_all_of_them() -> None:
    here, services = scene(), {"box": BOX}
    here.apply(services)
    project = here.project(services)
    ((found,),) = found_replicas(here.observed(project)).values()
    assert [probe.category for probe in probes_of_found(project.spec, found)] == ["llm", "embedding"]


def test_gpus_of_a_server_that_shares_them() -> None:
    here = scene(gpus=4)
    found = here.plan({"box": BOX | {"placement": {}, "options": {"tensor_parallel": 2}}})
    assert placements_of(found) == {"box-0": "h1:0,1"}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"backend": "llama.cpp"}, "source-refused", "`ollama://qwen3:8b`"),
        ({"backend": "llama.cpp", "models": [{"model": "own"}]}, "models-refused", "`llama.cpp` serves one model"),
        ({"models": [*TWO, {"model": "chat"}]}, "name-served-twice", "`chat`"),
        (
            {"models": [{"model": "chat", "options": {"kv_cache_dtype": "q8_0"}}]},
            "option-refused",
            "one `kv_cache_dtype` for all",
        ),
        ({"models": [{"model": "chat", "options": {"dtype": "float16"}}]}, "option-refused", "has no `dtype`"),
        ({"models": [{"model": "chat", "args": ["--verbose"]}]}, "args-refused", "takes no arguments"),
        ({"models": [{"model": "chat", "category": "image"}]}, "category-refused", "`image`"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], code: str, words: str) -> None:
    found, message = problem_of(BOX | changes)
    assert found == code
    assert words in message


SPEC = """\
version: 1
project: lab
id: x
hosts: {h1: {connection: local, vars: {n: "7"}}}
models: {chat: {source: "ollama://qwen3:8b"}, vectors: {source: "ollama://bge-m3"}}
services:
  box:
    backend: ollama
    models: [{model: chat}, {model: vectors}]
"""


def test_an_edit_of_any_of_the_models_is_an_edit_of_the_service() -> None:
    before = load(["d.yaml"], lambda _: SPEC.encode()).written["box"]
    after = load(["d.yaml"], lambda _: SPEC.replace("bge-m3", "bge-large").encode()).written["box"]
    assert before != after
    assert before["model"] == after["model"]
