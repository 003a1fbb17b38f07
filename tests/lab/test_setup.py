"""What a backend must be given once it answers, with Ollama: models pulled and derived, kept, and put right."""

from __future__ import annotations

import json
from typing import Any

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
  small: {source: "ollama://smollm2:135m"}
  typo: {source: "ollama://smolm2:135m"}
  tiny: {source: "file:///srv/models/tiny.gguf"}
services:
  chat:
    model: small
    backend: ollama
    version: "0.32.15"
    options: {context_length: 4096}
    placement: {gpus: none}
"""


@pytest.fixture
def settled(lab: Lab, project: Project) -> Project:
    """The service as it stands after its first apply, and after that nothing to do."""
    project.write_whole(SPEC)
    project.apply()
    project.must_be_settled()
    return project


def asked(lab: Lab, project: Project, path: str, body: object = None) -> tuple[int, str]:
    return lab.request("lab3", project.replica("chat")["url"] + path, body)


def shown(lab: Lab, project: Project, name: str) -> Any:
    status, text = asked(lab, project, "/api/show", {"model": name})
    assert status == 200, text
    return json.loads(text)


def must_answer(lab: Lab, project: Project, name: str) -> None:
    body = {"model": name, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    status, text = asked(lab, project, "/v1/chat/completions", body)
    assert (status, "Paris" in text) == (200, True), text


def test_a_model_must_be_pulled_and_derived_with_its_options(lab: Lab, settled: Project) -> None:
    assert shown(lab, settled, "small")["parameters"].splitlines()[-1].split() == ["num_ctx", "4096"]
    assert shown(lab, settled, "small")["license"].startswith("Apache License 2.0\ndeployer ")
    must_answer(lab, settled, "small")


def test_an_edit_of_its_options_must_keep_the_container(lab: Lab, settled: Project) -> None:
    (before,) = lab.containers("lab3")
    settled.edit("context_length: 4096", "context_length: 8192")
    planned = settled.plan()
    (change,) = changes(planned)
    assert (change["action"], change["cause"]) == ("update", "change")
    assert [step["op"] for step in planned["steps"]] == ["ensure-setup", "ensure-setup", "probe"]
    settled.apply()
    settled.must_be_settled()
    (after,) = lab.containers("lab3")
    assert after["Id"] == before["Id"]
    assert after["State"]["StartedAt"] == before["State"]["StartedAt"]
    assert "8192" in shown(lab, settled, "small")["parameters"]


def test_a_model_that_somebody_removed_must_be_drift_and_come_back(lab: Lab, settled: Project) -> None:
    (name,) = lab.names("lab3")
    lab.run("lab3", "docker", "exec", name, "ollama", "rm", "small")
    run = settled.run("plan", "--detailed-exitcode", "--json", exit=4)
    (change,) = changes(run.json())
    assert (change["action"], change["cause"]) == ("update", "drift")
    assert [reason["message"] for reason in change["reasons"]] == ["name `small` is not as the spec says"]
    settled.apply()
    settled.must_be_settled()
    assert lab.names("lab3") == [name]
    must_answer(lab, settled, "small")


def test_a_restart_must_need_no_apply(lab: Lab, settled: Project) -> None:
    (name,) = lab.names("lab3")
    url = settled.replica("chat")["url"]
    lab.run("lab3", "docker", "restart", name)
    eventually(lambda: "version" in lab.run("lab3", "curl", "-s", f"{url}/api/version", check=False))
    settled.must_be_settled()
    must_answer(lab, settled, "small")


def test_a_container_made_anew_must_find_its_models(lab: Lab, settled: Project) -> None:
    """They are in a folder of the host: removing the container, or changing it, takes nothing from the network."""
    (name,) = lab.names("lab3")
    lab.run("lab3", "docker", "rm", "-f", name)
    settled.edit("placement: {gpus: none}", "placement: {gpus: none}\n    env: {STANDIN_MODE: no-network}")
    settled.apply()
    settled.must_be_settled()
    must_answer(lab, settled, "small")


def test_a_pull_that_fails_must_say_why_and_leave_nothing(lab: Lab, project: Project) -> None:
    project.write_whole(SPEC.replace("model: small", "model: typo"))
    failed = project.apply(exit=1)
    must_name(failed, "source `smolm2:135m`", "HTTP 500", "pull model manifest: file does not exist")
    assert "setup-failed" in codes(failed)
    assert lab.names("lab3") == []
    project.edit("model: typo", "model: small")
    project.apply()
    project.must_be_settled()


def test_a_pull_that_fails_must_keep_what_serves(lab: Lab, settled: Project) -> None:
    before = lab.running("lab3")
    settled.edit("model: small", "model: typo")
    must_name(settled.apply(exit=1), "pull model manifest: file does not exist")
    assert lab.running("lab3") == before
    settled.edit("model: typo", "model: small")
    settled.apply()
    settled.must_be_settled()
    must_answer(lab, settled, "small")


@pytest.mark.parametrize("anew", [False, True], ids=["in-place", "by-a-successor"])
def test_options_that_cannot_be_loaded_must_leave_the_old_ones(lab: Lab, settled: Project, anew: bool) -> None:
    """Models are in a folder of the host, which predecessor and successor share."""
    before = lab.running("lab3")
    settled.edit("context_length: 4096", "context_length: 2000000")
    if anew:
        settled.edit("placement:", "env: {TZ: UTC}\n    placement:")
    must_name(settled.apply(exit=1), "model `small` with its options", "model requires more system memory")
    assert lab.running("lab3") == before
    assert shown(lab, settled, "small")["parameters"].splitlines()[-1].split() == ["num_ctx", "4096"]
    must_answer(lab, settled, "small")
    settled.edit("context_length: 2000000", "context_length: 4096")
    settled.apply()
    settled.must_be_settled()


def test_a_host_without_a_network_must_be_told_from_a_wrong_name(lab: Lab, project: Project) -> None:
    project.write_whole(SPEC.replace("placement:", "env: {STANDIN_MODE: no-network}\n    placement:"))
    must_name(project.apply(exit=1), "lookup registry.ollama.ai: no such host")
    assert lab.names("lab3") == []


def test_two_names_must_be_two_models_and_a_new_one_must_be_added_alone(lab: Lab, settled: Project) -> None:
    settled.edit("backend: ollama", "backend: ollama\n    served_name: [small, default]")
    planned = settled.plan()
    assert [change["action"] for change in changes(planned)] == ["update"]
    settled.apply()
    settled.must_be_settled()
    must_answer(lab, settled, "default")
    must_answer(lab, settled, "small")


def test_a_file_of_the_host_must_be_taken_by_the_program(lab: Lab, project: Project) -> None:
    project.write_whole(SPEC.replace("model: small", "model: tiny"))
    project.apply()
    project.must_be_settled()
    assert shown(lab, project, "tiny")["parameters"].split() == ["num_ctx", "4096"]
    must_answer(lab, project, "tiny")


def test_a_file_that_is_no_model_must_be_refused_with_what_the_program_said(lab: Lab, project: Project) -> None:
    lab.put("lab3", "/srv/models/broken.gguf", b"<html>404 Not Found</html>")
    project.write_whole(SPEC.replace("tiny.gguf", "broken.gguf").replace("model: small", "model: tiny"))
    failed = project.apply(exit=1)
    must_name(failed, "`sh` exited with code 1", "Error: unknown type")
    assert lab.names("lab3") == []
