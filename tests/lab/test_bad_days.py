"""Disks, sshds and dockerds that fail in the middle of an apply: a clear error or none at all, whoever served before
serves on, and the next apply converges."""

from __future__ import annotations

import pytest
from labkit.day import HOST, Day, said
from labkit.project import codes, must_name
from labkit.waiting import eventually

# --- the disk ---------------------------------------------------------------------------


def test_a_disk_that_fills_during_the_pull_must_be_named(day: Day) -> None:
    day.start_pulling()
    day.lab.fault("fill-disk", HOST, "0")
    failed = day.finish(exit=1)
    assert codes(failed) == {"disk-full"}
    must_name(failed, HOST, "free space")
    day.must_serve_as_before()
    day.must_leave_no_lock()
    day.lab.fault("free-disk", HOST)
    day.must_converge()


def test_a_full_disk_must_not_keep_a_destroy_out(day: Day) -> None:
    day.lab.fault("fill-disk", HOST, "0")
    day.lab.sh(HOST, "dd if=/dev/zero of=/srv/scratch bs=4k 2>/dev/null; true")  # the last block too
    day.project.destroy()
    assert day.lab.names(HOST) == []
    day.must_leave_no_lock()


# --- ssh --------------------------------------------------------------------------------


def test_an_sshd_that_restarts_during_the_pull_must_cost_nothing(day: Day) -> None:
    day.start_pulling()
    with day.lab.broken("kill-ssh", HOST):
        day.registry.rate = None
    done = day.finish(exit=0)
    assert said(done, f"connection to host `{HOST}` .*trying again"), done
    day.project.must_be_settled()
    day.must_serve()


def test_a_connection_that_breaks_while_the_model_loads_must_cost_nothing(day: Day) -> None:
    day.start_loading(delay=5)
    day.lab.sh(HOST, "kill -9 $(pgrep -x sshd | grep -vx $(cat /run/sshd.pid))")
    done = day.finish(exit=0)
    assert said(done, "still: wait until|done wait until"), done
    day.project.must_be_settled()
    day.must_serve()


@pytest.mark.heavy  # a minute more than the others, for a lock that nobody could give back
def test_an_sshd_that_stays_away_must_be_named(day: Day) -> None:
    day.start_pulling()
    with day.lab.broken("kill-ssh", HOST):
        failed = day.finish(exit=1)
        must_name(failed, HOST, "cannot be reached", "connection refused", "warning[lock-left]")
        day.must_serve()
    day.must_converge("--lock-wait", "90")


# --- dockerd ----------------------------------------------------------------------------


def test_a_docker_that_restarts_during_the_pull_must_cost_nothing(day: Day) -> None:
    day.start_pulling()
    day.registry.rate = None
    with day.lab.broken("kill-docker", HOST):
        pass
    done = day.finish(exit=0)
    assert said(done, "Docker.*trying again"), done
    day.project.must_be_settled()
    day.must_serve()


@pytest.mark.heavy  # as long as a Docker that is away is waited for
def test_a_docker_that_stays_away_must_be_named(day: Day) -> None:
    day.start_pulling()
    with day.lab.broken("kill-docker", HOST):
        failed = day.finish(exit=1)
    assert codes(failed) <= {"docker-down", "engine-lost"}
    must_name(failed, HOST, "Docker", "systemctl")
    eventually(lambda: day.lab.running(HOST), within=30)
    day.must_serve_as_before()
    day.must_leave_no_lock()
    day.must_converge()


def test_a_docker_that_restarts_while_the_model_loads_must_bring_the_old_one_back(day: Day) -> None:
    day.start_loading(delay=60)
    with day.lab.broken("kill-docker", HOST):
        pass
    failed = day.finish(exit=1)
    must_name(failed, HOST, "chat")
    day.must_serve_as_before()
    day.must_leave_no_lock()
    day.project.edit('STANDIN_DELAY: "60"', 'STANDIN_DELAY: "0"')
    day.must_converge()
