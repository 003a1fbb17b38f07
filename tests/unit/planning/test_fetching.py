"""Weights in a plan: what is fetched, where it is mounted, and what stays as it is when a hub moves."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from deployer.formats.model_files import config_says
from deployer.planning.cached import bytes_missing
from deployer.planning.planner import plan as planned
from deployer.spec.project import Project
from deployer.values.codec import to_data
from deployer.values.facts import Disk, ObservedState
from deployer.values.operations import CreateContainer, EnsureSetup
from deployer.values.plan import Action, Plan, Step
from deployer.values.resolved import Resolved, Unresolved
from deployer.values.transfers import FetchWeights
from deployer.values.weights import Listing, Manifest, WeightFile
from tests.support.planning import errors_of, plan_for, project_of
from tests.support.walk import Walk
from tests.support.world import World

SOURCE = "hf://org/name-GGUF"
FIRST, SECOND = "a" * 40, "b" * 40
CACHE = "/var/lib/deployer/cache"
FILES = (WeightFile("m-q4_k_m.gguf", 1000, sha256="1" * 64), WeightFile("m-q8_0.gguf", 2000, sha256="2" * 64))
Services = dict[str, Any]


def listing(commit: str = FIRST, files: tuple[WeightFile, ...] = FILES, **about: Any) -> Listing:
    return Listing(SOURCE, "main", commit, files, **about)


def resolved(found: Listing | Unresolved) -> Resolved:
    return Resolved(listings={f"{SOURCE}@": found})


def project(services: Services | None = None, **model: Any) -> Project:
    models = {"m": {"source": SOURCE, **model}}
    return project_of(services or {"chat": {"backend": None}}, models=models)


def fetches(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if isinstance(step.operation, FetchWeights)]


def applied(world: World, project: Project, found: Listing) -> Plan:
    plan = plan_for(project, world, resolved(found))
    assert errors_of(plan) == []
    walk = Walk(world, plan.steps).run()
    assert not walk.failed
    assert plan_for(project, world, resolved(found)).is_empty
    return plan


@pytest.fixture
def world() -> World:
    return World({"h1": 0, "h2": 0})


def test_a_model_is_fetched_once_a_host_before_anything_is_made(world: World) -> None:
    plan = applied(world, project({"chat": {"backend": None, "replicas": 4}}), listing())
    found = fetches(plan)
    assert [(step.host, step.bytes) for step in found] == [("h1", 1000), ("h2", 1000)]
    manifest = found[0].operation.manifest  # type: ignore[union-attr]
    assert [file.path for file in manifest.files] == ["m-q4_k_m.gguf"]
    for step in plan.steps:
        if isinstance(step.operation, CreateContainer):
            assert {need for need in step.needs if "/weights/" in need} == {f"{step.host}/weights/{manifest.id}"}


def test_the_container_sees_the_snapshot_and_what_it_links_to(world: World) -> None:
    plan = applied(world, project(), listing())
    spec = next(s.operation.spec for s in plan.steps if isinstance(s.operation, CreateContainer))
    (mount,) = spec.mounts
    assert (mount.source, mount.target) == (f"{CACHE}/hub/models--org--name-GGUF", "/models/models--org--name-GGUF")
    assert mount.read_only
    path = f"/models/models--org--name-GGUF/snapshots/{FIRST}/m-q4_k_m.gguf"
    assert spec.command[:2] == ("-m", path)
    assert spec.env["LLAMA_ARG_OFFLINE"] == "1"


def test_a_folder_of_safetensors_is_served_offline(world: World) -> None:
    files = (WeightFile("config.json", 10, git="3" * 40), WeightFile("model.safetensors", 500, sha256="4" * 64))
    found = listing(files=files, architectures=("LlamaForCausalLM",))
    plan = applied(world, project({"chat": {"backend": "vllm", "image": "vllm/vllm:v0.11.0"}}), found)
    spec = next(s.operation.spec for s in plan.steps if isinstance(s.operation, CreateContainer))
    assert spec.command[:2] == ("--model", f"/models/models--org--name-GGUF/snapshots/{FIRST}")
    assert spec.env["HF_HUB_OFFLINE"] == "1"
    assert not [name for name in spec.env if "TOKEN" in name]


def test_a_branch_that_moved_restarts_nothing(world: World) -> None:
    applied(world, project(), listing())
    assert plan_for(project(), world, resolved(listing(SECOND))).is_empty


def test_an_edited_option_keeps_the_commit_that_serves(world: World) -> None:
    applied(world, project(), listing())
    edited = project({"chat": {"backend": None, "options": {"context_length": 512}}})
    plan = plan_for(edited, world, resolved(listing(SECOND)))
    assert fetches(plan) == []
    spec = next(s.operation.spec for s in plan.steps if isinstance(s.operation, CreateContainer))
    assert FIRST in spec.command[1]


@pytest.mark.parametrize("edit", [{"revision": SECOND}, {"include": ["*q8_0.gguf"]}])
def test_an_edited_model_is_another_one(world: World, edit: dict[str, Any]) -> None:
    applied(world, project(), listing())
    edited = project(None, **edit)
    found = listing(SECOND, pinned="revision" in edit)
    plan = plan_for(edited, world, Resolved(listings={f"{SOURCE}@{edit.get('revision', '')}": found}))
    assert [change.action for change in plan.changes] == [Action.REPLACE]
    assert [step.bytes for step in fetches(plan)] == [0 if "revision" in edit else 2000]


def test_a_lock_wins_over_what_runs(world: World) -> None:
    applied(world, project(), listing())
    plan = plan_for(project(), world, resolved(listing(SECOND, pinned=True)))
    assert [change.action for change in plan.changes] == [Action.REPLACE]


def test_without_the_hub_what_runs_runs_on(world: World) -> None:
    applied(world, project(), listing())
    gone = Unresolved("the hub does not answer", "look at the network")
    assert plan_for(project(), world, resolved(gone)).is_empty
    more = project({"chat": {"backend": None, "replicas": 2}})
    plan = plan_for(more, world, resolved(gone))
    assert errors_of(plan) == ["no-placement"]
    (problem,) = [problem for problem in plan.problems if problem.code == "no-placement"]
    assert "the hub does not answer" in json.dumps(problem.evidence)
    assert "deployer lock" in (problem.hint or "")


def test_without_the_hub_nothing_new_is_placed(world: World) -> None:
    gone = Unresolved("the hub does not answer", "look at the network")
    for backend in ("llama.cpp", None):
        plan = plan_for(project({"chat": {"backend": backend}}), world, resolved(gone))
        assert errors_of(plan) == ["weights-unresolved"]
        (problem,) = [problem for problem in plan.problems if problem.code == "weights-unresolved"]
        assert (problem.message, problem.hint) == (
            f"the files of `{SOURCE}` are not known (service `chat`): the hub does not answer",
            "look at the network",
        )


def test_what_was_lost_of_the_cache_is_fetched_for_what_is_made_anew(world: World) -> None:
    applied(world, project(), listing())
    for box in world.all_boxes:
        box.status = "exited"
    world.weights.clear()
    plan = plan_for(project(), world, resolved(listing()))
    assert [change.action for change in plan.changes] == [Action.START]
    assert [step.bytes for step in fetches(plan)] == [1000]


@pytest.mark.parametrize(("free", "reserve", "fits"), [(100, 0, True), (70, 10, False), (60, 0, False)])
def test_a_disk_that_is_too_small_is_said_before_anything_is_done(
    world: World, free: int, reserve: int, fits: bool
) -> None:
    hosts = {"h1": {"reserve": {"disk": f"{reserve}m"}}}
    small = project_of({"chat": {"backend": None}}, hosts, models={"m": {"source": SOURCE}})
    facts = replace(
        world.facts("h1", ()),
        disks=(Disk(CACHE, "/var", 10 << 30, free << 20), Disk("/var/lib/docker", "/var", 10 << 30, free << 20)),
    )
    plan = planned(small, ObservedState({"h1": facts}), resolved(listing()))
    assert errors_of(plan) == ([] if fits else ["disk-too-small"])
    if reserve:
        problem = next(p for p in plan.problems if p.code == "disk-too-small")
        assert problem.evidence == (
            "70.0 MiB are free on `/var`",
            f"0.0 MiB of {SOURCE} are missing",
            "image ghcr.io/ggml-org/llama.cpp:server comes on top",
            "10.0 MiB are to stay free (`reserve.disk`)",
        )


def test_what_is_there_already_counts(world: World) -> None:
    facts = world.facts("h1", ())
    host = project().spec.hosts["h1"]
    manifest = Manifest(SOURCE, "main", FIRST, FILES)
    blobs = f"{CACHE}/{manifest.folder}/blobs"
    assert bytes_missing(manifest, host, facts) == 3000
    there = {"1" * 64: (1000, 1), "2" * 64 + ".part": (1500, 1)}
    assert bytes_missing(manifest, host, replace(facts, folders={blobs: there})) == 500
    wrong = {"1" * 64: (999, 1), "2" * 64 + ".part": (2500, 1)}
    assert bytes_missing(manifest, host, replace(facts, folders={blobs: wrong})) == 3000


def test_programs_that_come_with_a_model_are_named(world: World) -> None:
    files = (WeightFile("modeling_x.py", 10, git="3" * 40), WeightFile("model.safetensors", 500, sha256="4" * 64))
    services = {"chat": {"backend": "vllm", "image": "vllm/vllm:v0.11.0", "replicas": 2}}
    plan = plan_for(project(services), world, resolved(listing(files=files)))
    (said,) = [problem for problem in plan.problems if problem.code == "model-has-code"]
    assert said.evidence == ("modeling_x.py",)
    left_out = plan_for(project(services, exclude=["*.py"]), world, resolved(listing(files=files)))
    assert not [problem for problem in left_out.problems if problem.code == "model-has-code"]


@pytest.mark.parametrize("backend", ["ollama", "localai", "xinference"])
def test_servers_of_several_models_are_given_paths_of_the_cache(world: World, backend: str) -> None:
    plan = plan_for(project({"chat": {"backend": backend, "placement": {"gpus": "none"}}}), world, resolved(listing()))
    assert errors_of(plan) == []
    made = to_data([s.operation for s in plan.steps if isinstance(s.operation, CreateContainer | EnsureSetup)])
    files = [
        base64.b64decode(file["data"]).decode() for o in made for file in o.get("spec", {}).get("files", {}).values()
    ]
    assert f"models--org--name-GGUF/snapshots/{FIRST}/m-q4_k_m.gguf" in json.dumps(made) + "".join(files)


def test_what_is_too_large_for_the_gpus_is_refused_before_it_is_fetched() -> None:
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16384, "intermediate_size": 53248,
        "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8, "vocab_size": 128256,
        "torch_dtype": "bfloat16", "max_position_embeddings": 131072,
    }  # fmt: skip
    said = config_says(json.dumps(config).encode())
    files = (WeightFile("config.json", 10, git="3" * 40), WeightFile("model.safetensors", 810 << 30, sha256="4" * 64))
    large = project({"chat": {"backend": "vllm", "image": "vllm/vllm:v0.11.0", "placement": {"gpus": 1}}})
    plan = plan_for(large, World({"h1": 1, "h2": 1}), resolved(listing(files=files, **said)))
    assert errors_of(plan) == ["no-placement"]
    small = {**config, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
             "num_attention_heads": 32, "max_position_embeddings": 4096}  # fmt: skip
    fits = listing(files=(files[0], WeightFile("model.safetensors", 2 << 30, sha256="4" * 64)))
    fits = replace(fits, **config_says(json.dumps(small).encode()))
    assert errors_of(plan_for(large, World({"h1": 1, "h2": 1}), resolved(fits))) == []


# --- where it is at hand -------------------------------------------------------------------------


def placed(found: Plan) -> dict[str, str]:
    return {str(p.key): p.members[0].host for p in found.placements}


def test_a_host_that_has_the_weights_is_preferred() -> None:
    world = World({"h1": 0, "h2": 0})
    applied(world, project({"chat": {"backend": None, "placement": {"hosts": ["h2"]}}}), listing())
    both = {"chat": {"backend": None, "placement": {"hosts": ["h2"]}}, "tags": {"backend": None, "replicas": 2}}
    found = plan_for(project(both), world, resolved(listing()))
    assert placed(found) == {"chat-0": "h2", "tags-0": "h2", "tags-1": "h1"}, "its own replicas are spread all the same"
    assert [step.host for step in fetches(found)] == ["h1"]


def test_a_host_that_has_the_image_is_preferred() -> None:
    world = World({"h1": 0, "h2": 0})
    world.images["h2"] = {"some/image:1"}
    services = {"chat": {"backend": None, "image": "some/image:1"}}
    assert placed(plan_for(project(services), world, resolved(listing()))) == {"chat-0": "h2"}


def test_weights_count_more_than_the_image() -> None:
    world = World({"h1": 0, "h2": 0})
    applied(world, project({"chat": {"backend": None, "placement": {"hosts": ["h2"]}}}), listing())
    world.images["h1"] = {"some/image:1"}
    both = {
        "chat": {"backend": None, "placement": {"hosts": ["h2"]}},
        "tags": {"backend": None, "image": "some/image:1"},
    }
    assert placed(plan_for(project(both), world, resolved(listing())))["tags-0"] == "h2"
