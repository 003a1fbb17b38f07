"""`overrides`: a service on hosts with other GPUs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.errors import SpecError
from deployer.planning.planner import plan
from deployer.planning.questions import questions
from deployer.spec.load import load
from deployer.values.facts import HostFacts, ObservedState
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.operations import CreateContainer
from deployer.values.plan import Plan
from deployer.values.resolved import Resolved
from tests.support.world import World

SPEC = """
version: 1
project: lab
id: "1"
hosts: {h1: {connection: local}, h2: {connection: local}}
models: {m: {source: file:///srv/models/m.gguf}}
services:
  chat:
    model: m
    backend: llama.cpp
    replicas: 2
    options: {context_length: 4096, max_concurrency: 4}
    args: ["--metrics-a"]
    placement: {gpus: 1, max_per_host: 1}
    overrides: OVERRIDES
"""


def planned(overrides: str, gpus: dict[str, tuple[str, ...]]) -> Plan:
    project = load(["deploy.yaml"], lambda name: SPEC.replace("OVERRIDES", overrides).encode())
    world = World(dict.fromkeys(gpus, 0))
    seen = world.observe({path for paths in questions(project).values() for path in paths})
    hosts = {name: with_gpus(facts, gpus[name]) for name, facts in seen.reachable.items()}
    return plan(project, ObservedState(hosts), Resolved())


def with_gpus(facts: HostFacts, models: tuple[str, ...]) -> HostFacts:
    cards = tuple(Gpu(i, f"GPU-{facts.name}-{i}", model, 80 << 30) for i, model in enumerate(models))
    return replace(facts, gpu=GpuFacts(gpus=cards))


def commands(found: Plan) -> dict[str, tuple[str, ...]]:
    assert not found.has_errors, found.problems
    return {s.host: s.operation.spec.command or () for s in found.steps if isinstance(s.operation, CreateContainer)}


MIXED = {"h1": ("NVIDIA H100",), "h2": ("NVIDIA A800",)}


def test_they_hold_where_the_gpus_are_of_that_kind() -> None:
    found = commands(planned("[{gpu: {model: A800}, options: {context_length: 1024}}]", MIXED))
    assert found["h1"][found["h1"].index("-c") + 1] == str(4096 * 4)
    assert found["h2"][found["h2"].index("-c") + 1] == str(1024 * 4)


def test_later_ones_win_and_arguments_are_appended() -> None:
    written = "[{gpu: {model: A800}, options: {context_length: 1024}, args+: [-x]}, {gpu: {memory: '>=40GiB'}, "
    found = commands(planned(written + "options: {context_length: 2048}}]", MIXED))
    assert {found[host][found[host].index("-c") + 1] for host in found} == {str(2048 * 4)}
    assert "-x" in found["h2"]
    assert "-x" not in found["h1"]
    assert all("--metrics-a" in command for command in found.values())


def test_a_host_with_several_kinds_is_as_written() -> None:
    found = commands(planned("[{gpu: {model: A800}, args: [-x]}]", MIXED | {"h2": ("NVIDIA A800", "NVIDIA H100")}))
    assert "-x" not in found["h2"]


@pytest.mark.parametrize(
    "written",
    [
        "[{options: {context_length: 1}}]",
        "[{gpu: {model: A800}, replicas: 3}]",
        "[{gpu: {model: A800}, options: {tensor_parallel: 2}}]",
        "[{gpu: {model: A800}, options: {contextlength: 2}}]",
    ],
)
def test_what_they_cannot_say_is_an_error(written: str) -> None:
    with pytest.raises(SpecError) as caught:
        planned(written, MIXED)
    problem: Any = caught.value.diagnostics[0]
    assert problem.where.line > 10


def test_what_the_backend_refuses_is_said_of_overrides_too() -> None:
    found = planned("[{gpu: {model: A800}, options: {gpu_memory_fraction: 0.5}}]", MIXED)
    assert [p.code for p in found.problems] == ["option-refused"]
