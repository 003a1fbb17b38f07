"""Several models from one server that forgets them when it restarts, with Xinference."""

from __future__ import annotations

import json

import pytest
from labkit.hosts import Lab
from labkit.project import Project, changes, codes, must_name
from labkit.waiting import eventually

SPEC = """\
version: 1
project: lab
id: lab-tests
hosts: {lab3: {}}
models:
  bge-m3: {source: "builtin://bge-m3"}
  reranker: {source: "builtin://bge-reranker-v2-m3"}
  qwen: {source: "builtin://qwen2.5-instruct"}
  ocr: {source: "builtin://GOT-OCR2_0"}
services:
  box:
    backend: xinference
    version: v4.1.0
    env: {STANDIN_LAUNCH: "0.5"}
    models:
      - {model: qwen, served_name: chat, options: {context_length: 4096}}
      - {model: bge-m3}
      - {model: reranker}
      - {model: ocr}
    placement: {gpus: none}
"""
NAMES = ["bge-m3", "chat", "ocr", "reranker"]


@pytest.fixture
def settled(lab: Lab, project: Project) -> Project:
    project.write_whole(SPEC)
    project.apply()
    project.must_be_settled()
    return project


def listed(lab: Lab, url: str) -> list[str]:
    text = lab.run("lab3", "curl", "-s", f"{url}/v1/models", check=False)
    return sorted(model["id"] for model in json.loads(text)["data"]) if text else []


def test_every_model_must_be_launched_asked_and_come_back(lab: Lab, settled: Project) -> None:
    (name,), url = lab.names("lab3"), settled.replica("box")["url"]
    assert listed(lab, url) == NAMES
    verified = settled.run("verify", "--json").text
    assert "bge-m3: a vector of 16" in verified
    assert "chat: Paris." in verified
    assert "reranker: scores" in verified

    lab.run("lab3", "docker", "restart", name)  # they are launched again without anybody
    eventually(lambda: listed(lab, url) == NAMES, within=30)
    settled.must_be_settled()

    (before,) = lab.containers("lab3")  # one that somebody ended is drift, and comes back alone
    lab.run("lab3", "curl", "-sS", "-X", "DELETE", f"{url}/v1/models/bge-m3")
    (change,) = changes(settled.run("plan", "--detailed-exitcode", "--json", exit=4).json())
    assert (change["action"], change["cause"]) == ("update", "drift")
    settled.apply()
    settled.must_be_settled()
    (after,) = lab.containers("lab3")
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert listed(lab, url) == NAMES


def test_an_edit_of_one_model_must_be_shown_as_that(lab: Lab, settled: Project) -> None:
    settled.edit("context_length: 4096", "context_length: 8192")
    (change,) = changes(settled.plan())
    (diff,) = [diff for diff in change["diff"] if not diff["path"].startswith("ports.")]
    assert diff["path"] == "files./etc/deployer/models.json.data.models.chat.context_length"
    assert (diff["before"], diff["after"]) == (4096, 8192)
    settled.apply()
    settled.must_be_settled()


def test_a_launch_that_is_refused_must_say_why_and_keep_what_serves(lab: Lab, settled: Project) -> None:
    before = lab.running("lab3")
    settled.edit("builtin://bge-reranker-v2-m3", "builtin://bge-reranker-v2-m4")
    settled.edit("{model: reranker}", "{model: reranker, category: reranker}")
    failed = settled.apply(exit=1)
    must_name(failed, "model `reranker`", "HTTP 400: Model not found, name: bge-reranker-v2-m4")
    assert "setup-failed" in codes(failed)
    eventually(lambda: lab.running("lab3") == before)
    eventually(lambda: listed(lab, settled.replica("box")["url"]) == NAMES, within=30)
