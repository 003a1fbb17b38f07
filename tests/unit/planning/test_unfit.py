"""What a backend cannot be given is said with the service, before anything is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.values.facts import PathFact
from tests.unit.planning.scene import CPU, Scene

KT = {"args": ["--kt-method=BF16", "--kt-weight-path=/x"]}


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({"backend": "container"}, "`container` has no image (service `chat`)"),
        ({"backend": "ktransformers", **KT}, "`ktransformers` has no image (service `chat`)"),
        ({"backend": "sglang", "placement": CPU}, "`sglang` has no image for replicas without GPUs (service `chat`)"),
    ],
)
def test_a_backend_without_an_image(service: dict[str, Any], said: str) -> None:
    found = Scene({"h1": 1}).plan({"chat": service})
    errors = [d for d in found.problems if d.code == "no-image"]
    assert [d.message for d in errors] == [said]
    assert "`image`" in (errors[0].hint or "")
    assert not found.steps


def test_an_image_of_ones_own_is_one() -> None:
    found = Scene({"h1": 1}).plan({"chat": {"backend": "ktransformers", "image": "mine:1", **KT}})
    assert not found.has_errors


def test_a_folder_is_no_gguf_file() -> None:
    scene = Scene({"h1": 1}, sections={"models": {"m": {"source": "file:///srv/models/folder"}}})
    folder = PathFact("/srv/models/folder", "directory", entries=("config.json", "model.safetensors"))
    scene.seen = lambda facts: replace(facts, paths={folder.path: folder})
    (problem,) = scene.plan({"chat": {"backend": "llama.cpp"}}).problems
    assert problem.code == "format-refused"
    assert "none in `/srv/models/folder` on host `h1` (service `chat`)" in problem.message
    assert not scene.plan({"chat": {"backend": "vllm"}}).has_errors
