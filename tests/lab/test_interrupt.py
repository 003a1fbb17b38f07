"""Ctrl-C and SIGTERM during an apply: finished or undone, and the next apply carries on."""

from __future__ import annotations

import signal

import pytest
from labkit.hosts import Lab
from labkit.project import Project
from labkit.waiting import eventually

SLOW = """
chat:
  model: tiny
  image: "${var.standin}"
  env: {STANDIN_DELAY: "60"}
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_apply_must_end_and_leave_no_lock(lab: Lab, project: Project, number: signal.Signals) -> None:
    project.write(SLOW, hosts="{lab1: {}}")
    process = project.start("apply", "-y")
    eventually(lambda: lab.names("lab1"), within=30)
    project.interrupt(process, number)
    stopped = project.finish(process, "apply", "-y", exit=130)
    assert "interrupt" in stopped.err.lower()
    left = [f for f in lab.files_of_deployer("lab1") if f.endswith("/lock")]
    assert left == []
    project.edit('STANDIN_DELAY: "60"', 'STANDIN_DELAY: "0"')
    project.apply()
    project.must_be_settled()
    assert len(lab.running()) == 1


def test_a_killed_apply_must_not_block_the_next_for_ever(lab: Lab, project: Project) -> None:
    project.write(SLOW, hosts="{lab1: {}}")
    process = project.start("apply", "-y")
    eventually(lambda: lab.names("lab1"), within=30)
    process.kill()
    process.communicate()
    project.edit('STANDIN_DELAY: "60"', 'STANDIN_DELAY: "0"')
    project.run("apply", "-y", "--lock-wait", "150", timeout=240)
    project.must_be_settled()
    assert len(lab.running()) == 1


def test_a_second_apply_must_be_refused_while_the_first_runs(lab: Lab, project: Project) -> None:
    project.write(SLOW, hosts="{lab1: {}}")
    process = project.start("apply", "-y")
    eventually(lambda: lab.names("lab1"), within=30)
    refused = project.run("apply", "-y", exit=3)
    assert "lock" in refused.err
    project.interrupt(process)
    project.finish(process, "apply", "-y", exit=130)
