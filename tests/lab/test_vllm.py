"""The vLLM backend on hosts with (faked) GPUs; the image is a stand-in that refuses flags vLLM does not have."""

from __future__ import annotations

import json

from labkit.hosts import Lab
from labkit.project import Project

SERVICE = """
big:
  model: tiny-hf
  backend: vllm
  version: v0.11.0
  image: vllm/vllm-openai:v0.11.0
  served_name: [big, default]
  args: []
  options: {context_length: 1024, max_concurrency: 8, tensor_parallel: 2, gpu_memory_fraction: 0.8, dtype: bfloat16,
            prefix_cache: true}
  placement: {gpus: 2}
"""


def test_vllm_on_two_gpus_must_get_its_own_flags(lab: Lab, project: Project) -> None:
    project.write(SERVICE, hosts="{lab1: {}}")
    project.apply()
    (container,) = lab.containers("lab1")
    given = lab.run("lab1", "docker", "logs", container["Name"].lstrip("/")).splitlines()[0]
    arguments = json.loads(given.removeprefix("arguments: "))
    text = " ".join(arguments)
    assert "--tensor-parallel-size 2" in text
    assert "--max-model-len 1024" in text
    assert "--gpu-memory-utilization 0.8" in text
    assert "--served-model-name big default" in text
    assert sorted(container["HostConfig"]["DeviceRequests"][0]["DeviceIDs"]) == sorted(lab.gpu_uuids("lab1"))
    assert container["HostConfig"]["ShmSize"] > 1 << 30 or container["HostConfig"]["IpcMode"] == "host"
    assert "HF_HUB_OFFLINE=1" in container["Config"]["Env"]
    project.must_be_settled()


def test_a_flag_that_vllm_does_not_have_must_fail_with_its_own_words(lab: Lab, project: Project) -> None:
    project.write(SERVICE.replace("args: []", 'args: ["--enable-reasoning"]'), hosts="{lab1: {}}")
    failed = project.run("apply", "-y", exit=1)
    assert "--enable-reasoning" in failed.err
    assert [c for c in lab.containers("lab1") if c["State"]["Running"]] == []


def test_vllms_api_key_must_go_by_environment(lab: Lab, project: Project) -> None:
    project.environment["API_KEY"] = "key-of-vllm"
    project.write(
        SERVICE.replace("prefix_cache: true", "api_key: {secret: key}"), hosts="{lab1: {}}",
        more="secrets: {key: {env: API_KEY}}",
    )  # fmt: skip
    project.apply()
    replica = project.replica("big")
    body = {"model": "big", "messages": [{"role": "user", "content": "hi"}]}
    assert lab.request("lab1", f"{replica['url']}/v1/chat/completions", body)[0] == 401
    assert lab.request("lab1", f"{replica['url']}/v1/chat/completions", body, key="key-of-vllm")[0] == 200
    (container,) = lab.containers("lab1")
    assert "key-of-vllm" not in str(container["Args"])


def test_safetensors_on_a_gpu_must_choose_vllm_by_itself(lab: Lab, project: Project) -> None:
    project.write(SERVICE.replace("  backend: vllm\n", "  backend: null\n"), hosts="{lab1: {}}")
    planned = project.plan()
    assert project.run("render").out.count("--model") or planned
    (placement,) = planned["placements"]
    assert placement["service"] == "big"
