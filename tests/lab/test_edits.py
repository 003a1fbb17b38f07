"""`scale`, `stop`, `start`: one edit of the spec and its apply. `exec`: a program in a container that serves."""

from __future__ import annotations

from labkit.hosts import Lab
from labkit.project import Project

SERVICES = """
chat:   # for everybody
  model: tiny
  replicas: 1   # on weekdays
"""


def test_an_edit_must_be_written_and_applied_with_nothing_else_touched(lab: Lab, project: Project) -> None:
    project.write(SERVICES, hosts="{lab1: {}}")
    project.apply()
    text = (project.folder / "deploy.yaml").read_text()

    run = project.run("scale", "chat=2", "-y")
    text = text.replace("replicas: 1   # on weekdays", "replicas: 2   # on weekdays")
    assert (project.folder / "deploy.yaml").read_text() == text
    assert "replicas: 1 -> 2" in run.err
    assert project.plan()["summary"]["keep"] == len(project.replicas("chat")) == 2

    project.run("stop", "chat", "-y")
    text = text.replace("    model: tiny\n    replicas", "    state: stopped\n    model: tiny\n    replicas")
    assert (project.folder / "deploy.yaml").read_text() == text
    assert {c["State"]["Running"] for c in lab.containers("lab1")} == {False}
    assert len(lab.containers("lab1")) == 2

    project.run("start", "chat", "-y")
    assert (project.folder / "deploy.yaml").read_text() == text.replace("state: stopped", "state: running")
    assert {c["State"]["Running"] for c in lab.containers("lab1")} == {True}
    assert project.plan()["summary"]["keep"] == 2


def test_an_edit_that_cannot_be_applied_must_not_be_written(lab: Lab, project: Project) -> None:
    project.write(SERVICES + "  placement: {max_per_host: 1}\n", hosts="{lab1: {}}")
    before = (project.folder / "deploy.yaml").read_text()
    project.run("scale", "chat=2", "-y", exit=1)
    project.run("scale", "chat=2", exit=64)
    project.run("scale", "chat=many", exit=64)
    project.run("stop", "chatt", "-y", exit=64)
    assert (project.folder / "deploy.yaml").read_text() == before
    assert lab.containers("lab1") == []


def test_a_program_must_run_where_the_model_does(lab: Lab, project: Project) -> None:
    project.environment["TOLD"] = "do-not-tell"
    project.write(
        "chat: {model: tiny, env: {TOLD: {secret: told}}}", hosts="{lab1: {}}", more="secrets: {told: {env: TOLD}}"
    )
    project.run("exec", "chat", "true", exit=1)
    project.apply()
    done = project.run("exec", "chat", "--", "llama-server", "--version", exit=None)
    assert (done.code, "version" in done.text) == (0, True)
    assert project.run("exec", "chat-0", "no-such-program", exit=None).code in (126, 127)
    data = project.run("exec", "--json", "chat", "llama-server", "--no-such-flag", exit=None).json()
    assert data["exit_code"] == 1
    assert any(line["stream"] == "stderr" and "no-such-flag" in line["text"] for line in data["lines"])
