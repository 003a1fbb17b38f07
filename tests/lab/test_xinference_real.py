"""The real Xinference, on a CPU (2 GB of packages): real vectors and an order, of models that are given as files; it
forgets them whenever it restarts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labkit import models
from labkit.hosts import Lab
from labkit.project import Project, changes
from labkit.python_image import TORCH, PythonImage, put_image_or_skip, without_cuda
from labkit.waiting import eventually

pytestmark = pytest.mark.heavy
VERSION = "4.1.0"
ENGINE = PythonImage(
    "xinference",
    VERSION,
    ((TORCH,), (f"xinference=={VERSION}", "sentence-transformers", "transformers<5", "accelerate")),
    (),
    finish=without_cuda,
)
SPEC = f"""
version: 1
project: lab
id: lab-tests
hosts: {{lab2: {{}}}}
models:
  minilm: {{source: "file:///srv/models/minilm", category: embedding}}
  cross: {{source: "file:///srv/models/cross", category: reranker}}
services:
  box:
    backend: xinference
    version: v{VERSION}
    image: "{ENGINE.image}"
    env: {{XINFERENCE_ENABLE_VIRTUAL_ENV: "0"}}   # its engines are in the image
    models:
      - {{model: minilm, served_name: vectors, args: [--model-name, bge-small-en-v1.5]}}
      - {{model: cross, served_name: order, args: [--model-name, bge-reranker-base]}}
    placement: {{gpus: none}}
    health: {{ready_timeout: 10m, stall_timeout: 10m}}
"""


@pytest.fixture
def box(lab: Lab, project: Project, tmp_path: Path) -> Project:
    put_image_or_skip(lab, "lab2", ENGINE)
    lab.put("lab2", "/srv/models/minilm", models.minilm(tmp_path / "minilm"))
    lab.put("lab2", "/srv/models/cross", models.cross_encoder(tmp_path / "cross"))
    project.write_whole(SPEC)
    project.run("apply", "-y", timeout=900)
    return project


def test_real_models_must_be_launched_relaunched_and_asked(lab: Lab, box: Project) -> None:
    verified = box.run("verify", "--json").text
    assert "vectors: a vector of 384" in verified
    assert "order: scores" in verified
    box.must_be_settled()
    url = box.replica("box")["url"]
    (name,) = lab.names("lab2")
    lab.run("lab2", "docker", "restart", "-t", "20", name)
    eventually(lambda: served(lab, url) == {"vectors", "order"}, within=600, every=5)  # it imports torch three times
    assert "vectors: a vector of 384" in box.run("verify", "--json").text
    box.must_be_settled()  # and nobody applied anything
    assert lab.names("lab2") == [name]
    lab.run("lab2", "curl", "-sS", "-X", "DELETE", f"{url}/v1/models/vectors")
    (change,) = changes(box.run("plan", "--detailed-exitcode", "--json", exit=4).json())
    assert (change["action"], change["cause"]) == ("update", "drift")
    box.run("apply", "-y", timeout=600)
    box.must_be_settled()


def served(lab: Lab, url: str) -> set[str]:
    """Names of the models that it has; none while it does not answer."""
    said = lab.run("lab2", "curl", "-s", f"{url}/v1/models", check=False)
    return {model["id"] for model in json.loads(said)["data"]} if said.startswith("{") else set()
