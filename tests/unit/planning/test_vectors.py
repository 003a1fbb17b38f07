"""How long the vectors of a model are, where its files tell: what a probe of it is held against."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.values.facts import HostFacts, PathFact
from deployer.values.model_shape import ModelShape
from deployer.values.operations import Probe
from tests.unit.planning.scene import CPU, Scene

FOLDER = "/srv/models/minilm"
SHAPE = ModelShape("BertModel", "bert", 6, 384, 12, 12, 32, 1536, 30522, encoder=True)
FILES = ("1_Pooling", "config.json", "model.safetensors", "modules.json")


def widths(entries: tuple[str, ...] = FILES, shape: ModelShape | None = SHAPE, **service: Any) -> list[int | None]:
    def look(facts: HostFacts) -> HostFacts:
        known = PathFact(FOLDER, "directory", entries=entries, architectures=("BertModel",), shape=shape)
        return replace(facts, paths={**facts.paths, FOLDER: known})

    models = {"minilm": {"source": f"file://{FOLDER}"}}
    scene = Scene({"h1": 0}, sections={"models": models}, seen=look)
    asked = {"model": "minilm", "backend": "infinity", "placement": CPU} | service
    found = scene.plan({"embed": {key: value for key, value in asked.items() if key != "model" or value}})
    assert not found.has_errors, found.problems
    return [step.operation.vector for step in found.steps if isinstance(step.operation, Probe)]


def test_a_vector_is_as_wide_as_what_the_layers_pass_on() -> None:
    assert widths() == [384]


@pytest.mark.parametrize(
    ("entries", "shape", "service"),
    [
        ((*FILES, "2_Dense"), SHAPE, {}),
        ((*FILES, "2_Dense_1024"), SHAPE, {}),
        (FILES, None, {}),
        (FILES, SHAPE, {"args": ["--embedding-dtype", "ubinary"]}),
        (FILES, SHAPE, {"backend": "vllm", "args": ['--hf-overrides={"matryoshka_dimensions": [64]}']}),
    ],
)
def test_where_nothing_tells_any_vector_will_do(
    entries: tuple[str, ...], shape: ModelShape | None, service: dict[str, Any]
) -> None:
    assert widths(entries, shape, **service) == [None]


def test_each_of_several_models_has_its_own() -> None:
    box = [{"model": "minilm", "served_name": "a"}, {"model": "minilm", "served_name": "b", "category": "llm"}]
    assert widths(model=None, backend="xinference", models=box) == [384, None]
