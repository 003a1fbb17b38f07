"""deployer nim-profiles: an image on a host says what it has once, and plans go by that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labkit.hosts import Lab
from labkit.project import Project, must_name

IMAGE = "nvcr.io/nim/meta/llama-3.2-1b-instruct:1.8.4"
LIST = Path(__file__).resolve().parents[1] / "unit" / "formats" / "data" / "nim" / "list-1.8.4.txt"
H100 = "7b508014e846234db3cabe5c9f38568b4ee96694b60600a0b71c621dc70cacf3"
SPEC = """
version: 1
project: nimlab
id: "1"
hosts: {lab1: {}}
secrets: {ngc: {env: NGC_KEY}}
models: {llama: {source: "ngc://nim/meta/llama-3.2-1b-instruct"}}
services:
  chat:
    model: llama
    backend: nim
    version: 1.8.4
    env: {NGC_API_KEY: {secret: ngc}}
    placement: {gpus: 1}
"""


def stand_in(lab: Lab) -> None:
    """An image whose `list-model-profiles` prints what the real one did, where it has a key."""
    check = "[ -n \"$NGC_API_KEY\" ] || { echo 'Authentication Error'; exit 1; }"
    script = f"#!/bin/sh\n{check}\ncat <<'END'\n{LIST.read_text()}END\n"
    lab.put("lab1", "/root/list-model-profiles", script.encode())
    lab.sh(
        "lab1",
        f"chmod 755 /root/list-model-profiles && docker create --name nim busybox:1 true >/dev/null"
        f" && docker cp /root/list-model-profiles nim:/bin/ && docker commit nim {IMAGE} && docker rm nim",
    )


@pytest.mark.heavy
def test_an_image_must_be_asked_once_and_plans_must_go_by_what_it_said(lab: Lab, project: Project) -> None:
    stand_in(lab)
    project.write_whole(SPEC)
    project.environment["NGC_KEY"] = "nvapi-canary-0123456789"
    before = project.run("plan", "--json", exit=None).json()
    assert before["placements"]
    found = project.run("nim-profiles", "chat", "--json")
    (host,) = found.json()["hosts"]
    assert (host["host"], host["taken"]["id"]) == ("lab1", H100)
    assert lab.names("lab1") == [], "what was asked is gone"
    assert "takes tensorrt_llm-h100-fp8-tp1-pp1-throughput" in project.run("nim-profiles", "chat").out
    recorded = project.run("facts").json()["hosts"]["lab1"]["nim_profiles"]
    assert len(recorded[0]["profiles"]) == 30
    assert "canary" not in found.out + found.err + json.dumps(recorded)
    wrong = project.run("plan", "-f", "deploy.yaml", "-f", overlay(project), exit=1)
    must_name(wrong, "unknown-nim-profile", "takes tensorrt_llm-h100-fp8-tp1-pp1-throughput")
    checks = project.run("doctor", "--try-gpus", "--json", exit=None).json()["hosts"]["lab1"]["checks"]
    (tried,) = [check for check in checks if check["check"] == "gpu-container"]
    assert tried["verdict"] == "warn", "the lab's toolkit brings no nvidia-smi"
    assert IMAGE in tried["message"]
    assert lab.names("lab1") == []


def overlay(project: Project) -> str:
    path = project.folder / "wrong.yaml"
    path.write_text(f"version: 1\nservices: {{chat: {{nim: {{profile: '{'0' * 64}'}}}}}}\n")
    return str(path)
