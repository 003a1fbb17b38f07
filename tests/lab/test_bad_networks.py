"""Networks and registries that are slow, or die in the middle of an apply: it goes on where it can and ends clearly
where it cannot, whoever served before serves on, and the next apply converges."""

from __future__ import annotations

import time

import pytest
from labkit.day import HOST, SERVICE, Day, said
from labkit.project import must_name
from labkit.waiting import eventually


def test_a_network_that_is_cut_for_30_seconds_must_cost_nothing(day: Day) -> None:
    day.start_loading(delay=15)
    with day.lab.broken("cut", HOST):
        time.sleep(30)
    done = day.finish(exit=0)
    assert said(done, "still: wait until"), done
    day.project.must_be_settled()
    day.must_serve()
    day.must_leave_no_lock()


@pytest.mark.heavy  # some minutes: as long as a lost host is waited for
def test_a_network_that_stays_cut_must_be_named(day: Day) -> None:
    day.start_loading(delay=15)
    with day.lab.broken("cut", HOST):
        failed = day.finish(exit=1)
        must_name(failed, HOST, "cannot be reached", "COULD NOT UNDO", "warning[lock-left]")
        assert "Not all of it could be undone" in failed.out
    day.must_converge("--lock-wait", "90")


@pytest.mark.heavy
def test_a_network_that_comes_and_goes_must_only_take_longer(day: Day) -> None:
    day.edit(delay=10)
    day.start()
    for seconds in (3, 6, 9):
        time.sleep(4)
        with day.lab.broken("cut", HOST):
            time.sleep(seconds)
    day.finish(exit=0)
    day.project.must_be_settled()
    day.must_serve()
    day.must_leave_no_lock()


@pytest.mark.heavy
def test_a_host_that_is_slow_must_not_hold_up_the_others(day: Day) -> None:
    """One pulls for as long as it takes; long before its end the other has its successor, and no more than that."""
    lab, project = day.lab, day.project
    chat = SERVICE.replace("env:", f"placement: {{hosts: [{HOST}]}}, env:")
    other = 'other: {model: tiny, env: {ROUND: "0"}, placement: {hosts: [lab2]}}'
    project.write(f"{chat}\n{other}", hosts=f"{{{HOST}: {{}}, lab2: {{}}}}")
    project.apply()
    (before,) = lab.running("lab2")
    project.edit('ROUND: "0"', 'ROUND: "1"')
    day.start_pulling()
    eventually(lambda: len(lab.running("lab2")) == 1 and lab.running("lab2") != [before], within=10)
    assert lab.running(HOST) == [day.before], "which is still at its pull"
    day.finish(exit=0)
    project.must_be_settled()


def test_a_slow_and_thin_link_must_only_take_longer(day: Day) -> None:
    with day.lab.broken("slow", HOST, "100", "10"):
        day.edit()
        day.start()
        day.finish(exit=0)
        day.project.must_be_settled()
    day.must_serve()
    day.must_leave_no_lock()


# --- registries --------------------------------------------------------------------------


@pytest.mark.heavy
def test_a_slow_registry_must_be_waited_for_with_bytes(day: Day) -> None:
    day.start_pulling()
    done = day.finish(exit=0)
    assert said(done, r"still: pull image .*: [\d.]+ [KM]iB of 6 MiB, [\d.]+ [KM]iB/s, [\d.]+ s left, 1\d s"), done
    day.project.must_be_settled()
    day.must_serve()


@pytest.mark.heavy
def test_a_registry_that_dies_during_the_pull_must_be_named(day: Day) -> None:
    day.start_pulling()
    day.registry.die()
    failed = day.finish(exit=1)
    must_name(failed, HOST, day.registry.name, "curl")
    day.must_serve_as_before()
    day.must_leave_no_lock()
    day.registry.revive()
    day.must_converge()
