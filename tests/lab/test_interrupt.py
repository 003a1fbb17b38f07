"""Ctrl-C and SIGTERM during an apply: finished or undone, and the next apply carries on."""

from __future__ import annotations

import signal
import time

import pytest
from labkit.day import HOST, Day, said
from labkit.hosts import Lab
from labkit.project import Project, codes, must_name
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


@pytest.mark.heavy  # a lease is a minute
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


def test_a_killed_applys_lock_must_go_by_force_and_be_in_the_history(lab: Lab, project: Project) -> None:
    project.write(SLOW, hosts="{lab1: {}}")
    process = project.start("apply", "-y")
    eventually(lambda: lab.names("lab1"), within=30)
    process.kill()
    process.communicate()
    project.edit('STANDIN_DELAY: "60"', 'STANDIN_DELAY: "0"')
    unlocked = project.run("force-unlock", "-y")
    assert "held by" in unlocked.err
    assert "unlocked  lab1" in unlocked.out
    project.apply()
    project.must_be_settled()
    assert len(lab.running()) == 1
    applied, forced = project.run("history", "--json").json()["applies"]  # the killed one could not say a word
    assert (applied["verb"], applied["result"], forced["verb"]) == ("apply", "done", "force-unlock")
    assert "chat-0" in applied["hosts"]["lab1"]["changes"][0]
    assert f"(pid {process.pid})" in forced["hosts"]["lab1"]["changes"][0]


def test_a_second_apply_must_be_refused_while_the_first_runs(lab: Lab, project: Project) -> None:
    project.write(SLOW, hosts="{lab1: {}}")
    process = project.start("apply", "-y")
    eventually(lambda: lab.names("lab1"), within=30)
    refused = project.run("apply", "-y", exit=3)
    assert "lock" in refused.err
    project.interrupt(process)
    project.finish(process, "apply", "-y", exit=130)


def test_an_interrupt_during_the_pull_must_leave_who_serves_alone(day: Day) -> None:
    day.start_pulling()
    day.interrupt(signal.SIGTERM)
    stopped = day.finish(exit=130)
    assert said(stopped, "interrupted: what runs is being finished or undone"), stopped
    day.must_serve_as_before()
    day.must_leave_no_lock()
    assert day.journal()[-1]["result"] == "interrupted"
    day.must_converge()


def test_an_interrupt_while_the_successor_loads_must_bring_the_predecessor_back(day: Day) -> None:
    day.start_loading(delay=60)
    day.interrupt(signal.SIGINT)
    stopped = day.finish(exit=130)
    assert said(stopped, "undone start container"), stopped
    day.must_serve_as_before()
    day.must_leave_no_lock()
    day.project.edit('STANDIN_DELAY: "60"', 'STANDIN_DELAY: "0"')
    day.must_converge()


def test_a_second_interrupt_must_stop_at_once_and_be_in_the_journal(day: Day) -> None:
    day.start_loading(delay=5)
    with day.hanging_docker():  # so that nothing can be finished or undone
        day.interrupt(signal.SIGINT)
        time.sleep(1)
        day.interrupt(signal.SIGINT)
        stopped = day.finish(exit=130)
    assert codes(stopped) == {"interrupted"}
    must_name(stopped, "stopped at once", "apply again")
    day.must_leave_no_lock()
    entry = day.journal()[-1]
    assert (entry["result"], entry["summary"]) == ("interrupted", "stopped at once: 1 replace")
    assert len(day.lab.running(HOST)) == 1, "one or the other has the port"
    day.must_converge()
