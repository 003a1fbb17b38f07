"""plan -o and apply FILE: what was shown is what is done, or nothing is."""

from __future__ import annotations

import stat

from labkit.hosts import LLAMA, Lab
from labkit.models import tiny_gguf
from labkit.project import Project, must_name


def test_a_saved_plan_must_be_applied_as_it_was_shown(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}", hosts="{lab1: {}}")
    project.run("plan", "-o", "plan.json")
    assert lab.names() == []
    project.run("apply", "plan.json", "-y")
    assert len(lab.running()) == 1
    project.must_be_settled()


def test_a_stale_plan_must_be_refused_and_say_what_moved(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, port: 8100}", hosts="{lab1: {}}")
    project.run("plan", "-o", "plan.json")
    lab.run("lab1", "docker", "run", "-d", "--name", "squatter", "-p", "8100:80", "busybox:1", "sleep", "1000000")
    refused = project.run("apply", "plan.json", "-y", exit=3)
    assert "lab1" in refused.err
    assert lab.names() == ["squatter"]


def test_a_plan_that_was_edited_must_be_refused(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}", hosts="{lab1: {}}")
    project.run("plan", "-o", "plan.json")
    saved = project.folder / "plan.json"
    text = saved.read_text()
    assert '"start-container"' in text
    saved.write_text(text.replace('"start-container"', '"remove-container"'))
    refused = project.run("apply", "plan.json", "-y", exit=3)
    assert "saved plan" in refused.err
    assert lab.names() == []


def test_limit_must_change_no_other_host(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny, replicas: 3, placement: {gpus: none, max_per_host: 1}}")
    project.apply("--limit", "lab2")
    assert [len(lab.names(host)) for host in lab.hosts] == [0, 1, 0]
    project.apply()
    project.must_be_settled()


def test_images_and_weights_that_arrive_meanwhile_must_not_make_it_stale(lab: Lab, project: Project) -> None:
    """The model lies on the second host alone; the first one would be preferred."""
    lab.put("lab2", "/srv/scratch/m.gguf", tiny_gguf())
    lab.run("lab2", "docker", "rmi", "-f", LLAMA)
    project.write("chat: {model: mine}", hosts="{lab1: {}, lab2: {}}")
    project.edit("  tiny:", '  mine: {source: "file:///srv/scratch/m.gguf"}\n  tiny:')
    project.run("plan", "-o", "plan.json")
    lab.put("lab1", "/srv/scratch/m.gguf", tiny_gguf())
    lab.run("lab2", "docker", "pull", "-q", LLAMA)
    project.run("apply", "plan.json", "-y")
    assert (len(lab.running("lab1")), len(lab.running("lab2"))) == (0, 1)
    project.must_be_settled()


def test_a_port_that_was_picked_and_lost_must_be_named_with_its_holder(lab: Lab, project: Project) -> None:
    project.write("chat: {model: tiny}", hosts="{lab1: {}}")
    project.run("plan", "-o", "plan.json")
    lab.run("lab1", "docker", "run", "-d", "--name", "squatter", "-p", "20000:80", "busybox:1", "sleep", "1000000")
    refused = project.run("apply", "plan.json", "-y", exit=3)
    must_name(refused, "lab1: ports 20000: chat-0 -> container squatter")
    assert lab.names() == ["squatter"]
    lab.run("lab1", "docker", "rm", "-f", "squatter")
    project.run("apply", "plan.json", "-y")
    project.must_be_settled()


def test_connections_and_secrets_must_be_those_at_hand(lab: Lab, project: Project) -> None:
    secrets = "secrets: {key: {env: LAB_KEY}}"
    project.environment["LAB_KEY"] = "canary-of-the-plan"
    project.write("chat: {model: tiny, port: 8100, options: {api_key: [{secret: key}]}}", "{lab1: {}}", secrets)
    project.run("plan", "-o", "plan.json")
    saved = project.folder / "plan.json"
    assert "canary" not in saved.read_text()
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600

    project.environment["LAB_KEY"] = "canary-at-hand"
    project.edit("{lab1: {}}", "{lab1: {address: 127.0.0.1, port: 9}}")
    failed = project.run("apply", "plan.json", "-y", exit=1)
    must_name(failed, "lab1", "127.0.0.1:9")
    assert failed.err.count("error[") == 1
    assert lab.names() == []

    project.edit("{lab1: {address: 127.0.0.1, port: 9}}", "{lab1: {}}")
    done = project.run("apply", "plan.json", "-y")
    assert "canary" not in done.text
    models = "http://127.0.0.1:8100/v1/chat/completions"
    body = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
    assert lab.request("lab1", models, body, "canary-of-the-plan")[0] == 401
    assert lab.request("lab1", models, body, "canary-at-hand")[0] == 200
    project.must_be_settled()
