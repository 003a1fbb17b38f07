"""`plan --what-if`: recorded facts, a spec, and what is supposed of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployer.errors import DeployerError
from deployer.planning.what_if import parse_supposition
from deployer.spec.load import load
from deployer.values.facts import HostFacts
from deployer.values.facts_json import facts_to_data
from deployer.workflow.inputs import Inputs
from deployer.workflow.supposing import WhatIf, plan_supposed
from tests.support.models import CONFIGS
from tests.unit.planning.test_fitting import LLAMA, scene

FITTING = {"context_length": 8192, "tensor_parallel": 1}
SPEC = """
version: 1
project: lab
id: x
hosts: {h1: {connection: local}, h2: {connection: local}, h3: {connection: local}}
models: {m: {source: "file:///srv/models/m"}}
services:
  chat: {model: m, backend: vllm, replicas: 2, options: {context_length: 8192, tensor_parallel: 1}}
"""


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """In a folder with the spec: two hosts with room for it, and one whose GPUs are too small."""
    monkeypatch.chdir(tmp_path)
    Path("deploy.yaml").write_text(SPEC)
    Path("big.json").write_text(json.dumps(CONFIGS["Llama-3.1-70B"]))
    project = load(["deploy.yaml"], lambda name: Path(name).read_bytes())
    here = scene({"h1": (2, "A40"), "h2": (2, "A40"), "h3": (4, "T4")}, LLAMA)
    return json.dumps(facts_to_data(here.observed(project))).encode()


def suppose(facts: bytes, *texts: str) -> WhatIf:
    return plan_supposed(Inputs(), facts, [parse_supposition(text) for text in texts])


def moved(found: WhatIf) -> dict[str, tuple[str | None, str | None]]:
    return {row.replica: (row.before, row.after) for row in found.differences}


def test_a_host_that_is_lost_leaves_its_replicas_to_others(facts: bytes) -> None:
    found = suppose(facts, "host h2 lost")
    assert moved(found) == {"chat-1": ("h2 (1 GPU)", "h1 (1 GPU)")}
    assert not found.plan.has_errors
    both = suppose(facts, "host h2 lost", "host h1 lost")
    assert moved(both) == {"chat-0": ("h1 (1 GPU)", None), "chat-1": ("h2 (1 GPU)", None)}
    assert [problem.code for problem in both.plan.problems if problem.severity == "error"] == ["no-placement"]


def test_a_model_that_is_added_is_placed_by_its_config(facts: bytes) -> None:
    model = ("model big: {source: hf://meta/llama-70b}", "model big is big.json", "service big: {model: big}")
    small = suppose(facts, *model)
    assert moved(small) == {}
    (refused,) = [problem for problem in small.plan.problems if problem.severity == "error"]
    assert refused.message == "replica `big-0` fits on no host"
    enough = suppose(facts, *model, "host h3 has 4 x H100")
    assert moved(enough) == {"big-0": (None, "h3 (4 GPUs)")}


def test_a_host_that_is_not_there_yet_has_the_models(facts: bytes) -> None:
    found = suppose(facts, "host h4 has 2 x L40S", "service chat: {replicas: 6}")
    assert sum(after == "h4 (1 GPU)" for _, after in moved(found).values()) == 2
    assert not found.plan.has_errors


def test_other_gpus_in_a_host(facts: bytes) -> None:
    found = suppose(facts, "host h1 has 1 x T4", "host h2 has 1 x T4", "host h3 has 2 x H100")
    assert moved(found) == {"chat-0": ("h1 (1 GPU)", "h3 (1 GPU)"), "chat-1": ("h2 (1 GPU)", "h3 (1 GPU)")}


def test_other_gpus_take_the_places_of_those_that_replicas_were_given(tmp_path: Path, monkeypatch: Any) -> None:
    """By index, as people wrote them, though a new card has another UUID."""
    monkeypatch.chdir(tmp_path)
    services = {"chat": {"backend": "vllm", "options": FITTING, "placement": {"gpus": ["h1:0"]}}}
    here = scene({"h1": (2, "A40")}, LLAMA)
    before = here.seen
    here.seen = lambda facts: with_uuids(before(facts))
    here.apply(services)
    project = here.project(services)
    Path("deploy.yaml").write_text(json.dumps(project.spec.model_dump(mode="json", exclude_unset=True)))
    facts = json.dumps(facts_to_data(here.observed(project))).encode()
    larger, smaller = suppose(facts, "host h1 has 2 x H200"), suppose(facts, "host h1 has 2 x T4")
    assert (moved(larger), larger.plan.has_errors) == ({}, False)
    assert (moved(smaller), smaller.plan.has_errors) == ({"chat-0": ("h1 (1 GPU)", None)}, True)
    assert [problem.code for problem in smaller.plan.problems if problem.severity == "error"] == ["no-placement"]


def with_uuids(facts: HostFacts) -> HostFacts:
    gpus = tuple(replace(gpu, uuid=f"GPU-5f3c0000-{gpu.index}") for gpu in facts.gpus)
    return replace(facts, gpu=replace(facts.gpu, gpus=gpus))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("host h9 lost", "unknown-host"),
        ("host h1 has 2 x Foo 7", "unknown-gpu"),
        ("model x is big.json", "unknown-model"),
        ("model m is deploy.yaml", "bad-model-file"),
        ("model m is nowhere.json", "cannot-read"),
        ("model m is /etc/hostname", "bad-model-file"),
        ("service a: {modle: m}", "missing-key"),
    ],
)
def test_what_is_not_there_cannot_be_supposed(facts: bytes, text: str, code: str) -> None:
    with pytest.raises(DeployerError) as raised:
        suppose(facts, text)
    assert raised.value.diagnostics[0].code == code


def test_a_link_out_of_the_folder_is_not_followed(facts: bytes) -> None:
    Path("link.json").symlink_to("/etc/hostname")
    with pytest.raises(DeployerError, match="cannot be read"):
        suppose(facts, "model m is link.json")
