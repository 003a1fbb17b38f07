"""plan -o and apply FILE: what was shown is what is done, or nothing is."""

from __future__ import annotations

from labkit.hosts import Lab
from labkit.project import Project


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
