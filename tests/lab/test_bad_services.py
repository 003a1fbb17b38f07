"""What goes wrong on the way: a clear error, nothing half-made, and the next good apply converges."""

from __future__ import annotations

import pytest
from labkit.hosts import Lab
from labkit.project import Project, codes, must_name

GOOD = "chat: {model: tiny}"


def broken(mode: str, timeout: str = "6s") -> str:
    return f"""
chat:
  model: tiny
  image: "${{var.standin}}"
  env: {{STANDIN_MODE: {mode}}}
  health: {{ready_timeout: {timeout}}}
"""


def must_converge(lab: Lab, project: Project) -> None:
    """A good spec after the bad one: one running container, and nothing more to do."""
    project.write(GOOD)
    project.apply()
    project.must_be_settled()
    (name,) = lab.names()
    assert lab.inspect("lab1" if name in lab.names("lab1") else project.replica("chat")["host"], name)


def test_a_model_path_that_is_not_there_must_fail_before_anything_starts(lab: Lab, project: Project) -> None:
    project.write(GOOD)
    project.edit("/srv/models/tiny.gguf", "/srv/models/tinny.gguf")
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "/srv/models/tinny.gguf", "tiny")
    assert lab.names() == []
    must_converge(lab, project)


def test_a_model_on_one_host_only_must_be_placed_there(lab: Lab, project: Project) -> None:
    project.write("chat: {model: smollm2}")
    project.apply()
    assert project.replica("chat")["host"] == "lab1"


def test_an_image_that_does_not_exist_must_be_named(lab: Lab, project: Project) -> None:
    project.write('chat: {model: tiny, image: "registry.lab:5000/no/such:1"}')
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "registry.lab:5000/no/such:1")
    assert lab.names() == []
    must_converge(lab, project)


def test_a_registry_that_does_not_answer_must_be_named(lab: Lab, project: Project) -> None:
    project.write('chat: {model: tiny, image: "registry.lab:5999/no/such:1"}')
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "registry.lab:5999")
    assert lab.names() == []


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("exit", "invalid configuration, giving up"),
        ("unready", "503"),
        ("dies", "Unsupported CPU attention configuration"),
        ("nonsense", ""),
        ("refuses", "500"),
    ],
)
def test_a_server_that_fails_must_fail_the_apply(lab: Lab, project: Project, mode: str, says: str) -> None:
    project.write(broken(mode), hosts="{lab1: {}}")
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "chat", says)
    running = [c for c in lab.containers("lab1") if c["State"]["Running"] or c["State"]["Restarting"]]
    assert running == [], "what never answered must not be left running"
    must_converge(lab, project)


@pytest.mark.heavy  # two minutes: as long as a real request may take
def test_a_server_that_never_answers_must_time_out(lab: Lab, project: Project) -> None:
    project.write(broken("hangs"), hosts="{lab1: {}}")
    failed = project.run("apply", "-y", exit=1, timeout=300)
    must_name(failed, "chat", "gave no answer within 120 s")
    assert failed.err.count("s of at most 2m 00s") >= 10, "a wait says each 10 s what it waits for"
    must_converge(lab, project)


def test_a_bad_successor_must_bring_the_predecessor_back(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, port: 8123}", hosts="{lab1: {}}")
    project.apply()
    before = project.replica("chat")
    project.edit("port: 8123", 'port: 8123, image: "${var.standin}", env: {STANDIN_MODE: nonsense}')
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "chat")
    assert lab.inspect("lab1", before["container"])["State"]["Running"], "on_failure: rollback is the default"
    status, _ = lab.request("lab1", f"{before['url']}/health")
    assert status == 200
    restart = lab.inspect("lab1", before["container"])["HostConfig"]["RestartPolicy"]["Name"]
    assert restart == "always"
    project.edit(', image: "${var.standin}", env: {STANDIN_MODE: nonsense}', "")
    project.apply()
    project.must_be_settled()
    assert lab.running() == [before["container"]]


def test_two_services_on_one_port_must_be_refused_before_anything_starts(lab: Lab, project: Project) -> None:
    project.write("a: {model: tiny, port: 8100}\nb: {model: tiny, port: 8100}", hosts="{lab1: {}}")
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "8100")
    assert lab.names() == []


def test_a_port_held_by_a_stranger_must_name_who_holds_it(lab: Lab, project: Project) -> None:
    lab.run("lab1", "docker", "run", "-d", "--name", "squatter", "-p", "8100:80", "busybox:1", "sleep", "1000000")
    project.write("chat: {model: tiny, port: 8100}", hosts="{lab1: {}}")
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "8100", "squatter")
    assert lab.names() == ["squatter"]


def test_a_failed_service_must_not_stop_the_others(lab: Lab, project: Project) -> None:
    project.write(broken("exit") + "draft: {model: tiny}\n")
    failed = project.run("apply", "-y", exit=1)
    must_name(failed, "chat")
    assert project.replica("draft")["state"] == "running"


NOT_SPECS = {
    "empty": b"",
    "tab": b"version: 1\n\tproject: x\n",
    "list": b"- 1\n",
    "wrong type": b"version: one\nproject: x\nservices: {}\n",
    "typo": b"version: 1\nproject: x\nservices: {a: {modle: b}}\n",
    "encoding": b"\xff\xfe\x00",
    "unknown host": b"""version: 1
project: x
hosts: {h: {}}
models: {m: {source: "file:///m"}}
services: {a: {model: m, placement: {hosts: [nobody]}}}
""",
}


@pytest.mark.parametrize("kind", NOT_SPECS)
def test_a_bad_file_must_be_an_error_with_a_place(lab: Lab, project: Project, kind: str) -> None:
    (project.folder / "deploy.yaml").write_bytes(NOT_SPECS[kind])
    failed = project.run("plan", exit=1)
    assert codes(failed), failed
    assert "deploy.yaml" in failed.err
    assert lab.names() == []


def test_a_missing_file_must_be_named(lab: Lab, project: Project) -> None:
    failed = project.run("plan", exit=1)
    must_name(failed, "deploy.yaml")
