"""The real Infinity, on a CPU: embeddings that mean something, a real --help, and what a broken model is told as."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labkit import infinity, models
from labkit.hosts import Lab
from labkit.project import Project, must_name
from labkit.python_image import put_image_or_skip

pytestmark = pytest.mark.heavy
SERVICE = f"""
embed:
  model: minilm
  backend: infinity
  version: {infinity.VERSION}
  image: "{infinity.ENGINE.image}"
  options: {{context_length: null, max_concurrency: 4}}
  args: [--device, cpu]
  placement: {{gpus: none}}
  health: {{ready_timeout: 15m}}
"""


@pytest.fixture
def project_with_infinity(lab: Lab, project: Project, tmp_path: Path) -> Project:
    put_image_or_skip(lab, "lab1", infinity.ENGINE)
    lab.put("lab1", "/srv/models/minilm-hf", models.minilm_folder(tmp_path / "minilm"))
    project.write(SERVICE, hosts="{lab1: {}}")
    project.edit("/srv/models/minilm.gguf", "/srv/models/minilm-hf")
    return project


def test_infinity_must_embed_and_know_its_flags(lab: Lab, project_with_infinity: Project) -> None:
    project = project_with_infinity
    project.run("apply", "-y", timeout=1000)
    vector = json.loads(project.run("query", "embed", "a cat sits on the mat").out)
    assert len(vector) == 384
    assert any(vector)
    assert project.run("verify", "--json").json()["replicas"][0]["ok"]
    project.must_be_settled()
    project.run("doctor", "--flags", timeout=300)
    checks = {check["check"]: check for check in project.run("doctor", "--json").json()["hosts"]["lab1"]["checks"]}
    assert "flags, asked" in checks["flags"]["evidence"][0]
    project.must_be_settled()
    project.edit("[--device, cpu]", "[--devise, cpu]")
    must_name(project.run("plan", exit=1), "flag-not-in-image", "did you mean `--device`?")


def test_weights_that_are_cut_short_must_be_told_as_that(lab: Lab, project_with_infinity: Project) -> None:
    lab.run("lab1", "truncate", "--size=5000", "/srv/models/minilm-hf/model.safetensors")
    failed = project_with_infinity.run("apply", "-y", exit=1, timeout=1000)
    must_name(
        failed, "a weights file is cut short", "the whole log is kept on the host", "fetch the model's files again"
    )
