"""The real `transformers serve`, on a CPU: a server that no backend of ours knows, described in the spec alone."""

from __future__ import annotations

import pytest
from labkit import vllm
from labkit.hosts import Lab
from labkit.project import Project
from labkit.python_image import put_image_or_skip

pytestmark = pytest.mark.heavy
SERVICE = f"""
chat:
  model: tiny-hf
  backend: container
  image: "{vllm.ENGINE.image}"                 # it has transformers and what its server needs
  served_name: [/models/tiny-hf]               # it is pinned to that, and answers to no other name
  container:
    entrypoint: [transformers, serve]
    tmpfs: {{/tmp: size=64m}}
  args: ["${{model.path}}", --host=0.0.0.0, --port=8000, --device=cpu, --no-trust-remote-code]
  env: {{HOME: /tmp, HF_HUB_OFFLINE: "1"}}
  api: {{health: /health, models: none}}        # its list names folders
  options: {{context_length: null, max_concurrency: null}}
  placement: {{gpus: none}}
  health: {{ready_timeout: 15m}}
"""


def test_transformers_must_be_served_and_asked(lab: Lab, project: Project) -> None:
    put_image_or_skip(lab, "lab1", vllm.ENGINE)
    project.write(SERVICE, hosts="{lab1: {}}")
    project.run("apply", "-y", timeout=1000)
    assert project.run("query", "chat", "hello", "--max-tokens", "8", timeout=200).out.strip()  # it knows no end itself
    assert project.run("verify", "--json", timeout=200).json()["replicas"][0]["ok"]
    project.must_be_settled()
