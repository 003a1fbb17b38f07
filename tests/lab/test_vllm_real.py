"""The real vLLM, on a CPU: chat, and the failure that only a real request shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from labkit import models, vllm
from labkit.hosts import Lab
from labkit.project import Project, must_name
from labkit.python_image import put_image_or_skip

pytestmark = pytest.mark.heavy
SERVICE = f"""
chat:
  model: tiny-hf
  backend: vllm
  version: v{vllm.VERSION}
  image: "{vllm.ENGINE.image}"
  served_name: [tiny]
  options: {{context_length: 256, max_concurrency: 4, dtype: bfloat16}}
  args: [--enforce-eager]
  env: {{VLLM_CPU_KVCACHE_SPACE: "1"}}
  container: {{cap_add: [SYS_NICE], security_opt: ["seccomp=unconfined"], shm_size: 1g}}
  placement: {{gpus: none}}
  health: {{ready_timeout: 15m}}
"""


@pytest.fixture
def image(lab: Lab) -> None:
    put_image_or_skip(lab, "lab1", vllm.ENGINE)


@pytest.mark.usefixtures("image")
def test_vllm_must_load_a_model_and_answer(lab: Lab, project: Project) -> None:
    project.write(SERVICE, hosts="{lab1: {}}")
    project.run("apply", "-y", timeout=1000)
    replica = project.replica("chat")
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
    status, text = lab.request("lab1", f"{replica['url']}/v1/chat/completions", body)
    assert status == 200, text
    project.must_be_settled()


@pytest.mark.usefixtures("image")
def test_vllm_that_is_healthy_and_dies_at_the_first_request_must_fail(
    lab: Lab, project: Project, tmp_path: Path
) -> None:
    models.write_transformer(tmp_path, hidden=64, layers=2)  # heads of 16: vLLM's CPU attention has none for them
    lab.put("lab1", "/srv/models/small-heads", tmp_path)
    project.write(SERVICE, hosts="{lab1: {}}")
    project.edit('"file:///srv/models/tiny-hf"', '"file:///srv/models/small-heads"')
    failed = project.run("apply", "-y", exit=1, timeout=1000)
    must_name(failed, "chat")
    assert [c for c in lab.containers("lab1") if c["State"]["Running"]] == []
