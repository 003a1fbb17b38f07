"""`deployer watch`: what served comes back without anybody's apply; what was edited waits for one."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from labkit.hosts import Lab
from labkit.project import Project
from labkit.waiting import eventually

LIMIT = 300  # seconds
SERVICE = "chat: {model: tiny, health: {ready_timeout: 5s}, restart_backoff: {max_delay: 2s}}"

BLIND = b"#!/usr/bin/python3 -IS\nimport os, sys\nsys.exit(255 if os.path.exists('/dev/shm/lost') else 0)\n"

SLOW = """
slow: {model: tiny, image: "${var.standin}", env: {STANDIN_DELAY: "60"}}
"""


@contextmanager
def watching(project: Project) -> Iterator[Iterator[dict[str, Any]]]:
    """The lines of a watch that looks once a second; it ends by Ctrl-C, with 130."""
    process = project.start("watch", "--interval", "1s", "--json")
    assert process.stdout is not None
    limit = threading.Timer(LIMIT, process.kill)  # or a line that never comes is waited for without an end
    limit.start()
    try:
        yield (json.loads(line) for line in process.stdout)
    finally:
        limit.cancel()
        project.interrupt(process, signal.SIGINT)
        project.finish(process, "watch", exit=130, timeout=30)


def until(lines: Iterator[dict[str, Any]], event: str, passing: tuple[str, ...] = ()) -> dict[str, Any]:
    for line in lines:
        assert line["event"] in ("watching", "serving", "repairing", event, *passing), line
        if line["event"] == event:
            return line
    raise AssertionError(f"it ended before `{event}`")


def test_a_watch_must_bring_back_what_served_and_no_edit(lab: Lab, project: Project) -> None:
    project.write(SERVICE, hosts="{lab1: {}}")
    project.apply()
    (name,) = lab.names("lab1")
    with watching(project) as lines:
        until(lines, "serving")
        lab.run("lab1", "docker", "rm", "-f", name)
        told = until(lines, "repaired")
        assert (told["replica"], told["host"]) == ("chat-0", "lab1")
        assert lab.running("lab1") == [name]
        lab.run("lab1", "docker", "stop", "-t", "0", name)
        until(lines, "repaired")
        project.must_be_settled()
        project.edit("context_length: 256", "context_length: 512")
        lab.run("lab1", "docker", "rm", "-f", name)
        assert "edited" in until(lines, "left-alone")["why"]
        assert lab.running("lab1") == []


@pytest.mark.heavy  # a minute: as long as nobody is judged for being silent
def test_a_watch_must_start_anew_what_runs_and_answers_nobody(lab: Lab, project: Project) -> None:
    project.write(SERVICE, hosts="{lab1: {}}")
    project.apply()
    (name,) = lab.names("lab1")
    with watching(project) as lines:
        until(lines, "serving")
        pid = lab.inspect("lab1", name)["State"]["Pid"]
        lab.sh("lab1", f"kill -STOP {pid}")
        assert "does not serve" in until(lines, "repairing")["why"]
        until(lines, "repaired")
        project.must_be_settled()


@pytest.mark.heavy  # likewise
def test_a_watch_must_start_anew_what_lost_its_gpus_and_says_that_it_is_well(lab: Lab, project: Project) -> None:
    """As after `systemctl daemon-reload` on some hosts: nvidia-smi in the container exits with 255 until it is started
    anew."""
    given = 'image: "${var.standin}", placement: {gpus: ["lab1:0"]}'
    project.write(SERVICE.replace("model: tiny", f"model: tiny, {given}"), hosts="{lab1: {}}")
    project.apply()
    (name,) = lab.names("lab1")
    lab.put("lab1", "/srv/scratch/nvidia-smi", BLIND)
    lab.sh("lab1", f"chmod 755 /srv/scratch/nvidia-smi && docker cp /srv/scratch/nvidia-smi {name}:/usr/bin/")
    with watching(project) as lines:
        until(lines, "serving")
        lab.run("lab1", "docker", "exec", name, "/usr/bin/python3", "-c", "open('/dev/shm/lost', 'w')")
        assert "has lost its GPUs" in until(lines, "problem")["why"]
        assert until(lines, "repaired")["replica"] == "chat-0"
        lab.run("lab1", "docker", "exec", name, "nvidia-smi")
        project.must_be_settled()


@pytest.mark.heavy
def test_a_watch_must_give_way_to_an_apply(lab: Lab, project: Project) -> None:
    project.write(SERVICE, hosts="{lab1: {}}")
    project.apply()
    (name,) = lab.names("lab1")
    with watching(project) as lines:
        until(lines, "serving")
        project.write(SERVICE + SLOW, hosts="{lab1: {}}")
        applying = project.start("apply", "-y")
        eventually(lambda: len(lab.names("lab1")) == 2, within=30)
        assert "is applying" in until(lines, "busy")["why"]
        lab.run("lab1", "docker", "rm", "-f", name)
        project.interrupt(applying)
        project.finish(applying, "apply", "-y", exit=130)
        assert until(lines, "repaired")["replica"] == "chat-0"


@pytest.mark.heavy
def test_a_watch_must_leave_what_was_scaled_down_from_elsewhere(lab: Lab, project: Project, tmp_path: Path) -> None:
    """Its own spec is the older one. What else is lost comes back all the same."""
    both = "chat: {model: tiny, replicas: 2, restart_backoff: {max_delay: 2s}}"
    project.write(both, hosts="{lab1: {}}")
    project.apply()
    elsewhere = Project(lab, tmp_path / "elsewhere")
    elsewhere.folder.mkdir()
    elsewhere.write(both.replace("replicas: 2", "replicas: 1"), hosts="{lab1: {}}")
    with watching(project) as lines:
        until(lines, "serving")
        elsewhere.apply("--lock-wait", "30")
        told = until(lines, "left-alone", passing=("busy",))
        assert (told["replica"], "taken away by apply" in told["why"]) == ("chat-1", True)
        (name,) = lab.names("lab1")
        lab.run("lab1", "docker", "rm", "-f", name)
        assert until(lines, "repaired")["replica"] == "chat-0"
        assert lab.names("lab1") == [name]
        elsewhere.must_be_settled()


@pytest.mark.heavy
def test_a_watch_must_not_undo_an_edit_whose_apply_died(lab: Lab, project: Project, tmp_path: Path) -> None:
    """Its own spec is the older one. What the edit made has answered, and is lost with nothing written down of it."""
    project.write(SERVICE, hosts="{lab1: {}}")
    project.apply()
    (before,) = lab.names("lab1")
    elsewhere = Project(lab, tmp_path / "elsewhere")
    elsewhere.folder.mkdir()
    elsewhere.write(SERVICE.replace("{", "{options: {context_length: 512}, ", 1) + SLOW, hosts="{lab1: {}}")

    def serving() -> list[str]:
        return [name for name in lab.running("lab1") if "_chat_" in name]

    with watching(project) as lines:
        until(lines, "serving")
        applying = elsewhere.start("apply", "-y", "--lock-wait", "30")
        eventually(lambda: before not in serving(), within=60)  # it is stopped once its successor has answered
        elsewhere.interrupt(applying, signal.SIGKILL)
        elsewhere.finish(applying, "apply", "-y", exit=-9)
        lab.run("lab1", "docker", "rm", "-f", *serving())
        lab.run("lab1", "rm", "/var/lib/deployer/lab/lock")  # as if its lease had run out
        told = until(lines, "left-alone", passing=("busy",))
        assert (told["replica"], "edited" in told["why"]) == ("chat-0", True)
        assert serving() == []
