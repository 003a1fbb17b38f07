"""An apply that sleeps, loses its lock and wakes up changes nothing any more; two projects never get one GPU."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from labkit.hosts import Lab
from labkit.project import Project, Run

ARGUMENTS = ("apply", "-y", "--json")
SERVICES = "\n".join(f'{name}: {{model: tiny, port: {port}, env: {{ROUND: "0"}}}}' for name, port in
                     (("one", 8131), ("two", 8132), ("three", 8133)))  # fmt: skip


def state(lab: Lab) -> list[tuple[Any, ...]]:
    found = lab.containers("lab1")
    return [(c["Id"], c["Name"], c["State"]["StartedAt"], c["HostConfig"]["RestartPolicy"]["Name"]) for c in found]


def must_change_nothing_any_more(lab: Lab, project: Project, *takes_over: tuple[str, ...]) -> None:
    """An apply that sleeps in the middle of its steps, while these commands run."""
    project.write(SERVICES, hosts="{lab1: {}}")
    sleeper = project.begin(*ARGUMENTS)
    assert sleeper.has_said(6, 60)
    sleeper.kill(signal.SIGSTOP)
    try:
        project.write(SERVICES.replace('"0"', '"1"'), hosts="{lab1: {}}")
        for command in takes_over:
            project.run(*command, timeout=240)
        after = state(lab)
        sleeper.kill(signal.SIGCONT)
        done = sleeper.finish(ARGUMENTS, 120)
    finally:
        sleeper.kill()
    woken = project.checked(Run(ARGUMENTS, done.returncode, done.stdout, done.stderr), exit=1)
    assert '"lock-lost"' in woken.out, woken
    assert state(lab) == after, "it changed something"
    project.must_be_settled()


def test_a_sleeper_whose_lock_was_taken_by_force_must_change_nothing(lab: Lab, project: Project) -> None:
    must_change_nothing_any_more(lab, project, ("force-unlock", "-y"), ("apply", "-y"))


@pytest.mark.heavy  # a lease is a minute
def test_a_sleeper_whose_lease_ran_out_must_change_nothing(lab: Lab, project: Project) -> None:
    must_change_nothing_any_more(lab, project, ("apply", "-y", "--lock-wait", "150"))


@pytest.mark.heavy  # a lease is a minute
def test_what_a_sleeper_had_sent_must_change_nothing_when_it_arrives(lab: Lab, project: Project) -> None:
    """A cut network holds back what was sent, and delivers it when it heals."""
    project.write(SERVICES, hosts="{lab1: {}}")
    cut_off = project.begin(*ARGUMENTS)
    assert cut_off.has_said(6, 60)
    try:
        with lab.broken("cut", "lab1"):
            cut_off.is_over_within(3)
            cut_off.kill(signal.SIGSTOP)
            lab.sh("lab1", "rm /var/lib/deployer/lab/lock")
        project.write(SERVICES.replace('"0"', '"1"'), hosts="{lab1: {}}")
        project.apply()
        after = state(lab)
        cut_off.kill(signal.SIGCONT)
        done = cut_off.finish(ARGUMENTS, 240)
    finally:
        cut_off.kill()
    project.checked(Run(ARGUMENTS, done.returncode, done.stdout, done.stderr), exit=1)
    assert state(lab) == after, "it changed something"
    project.must_be_settled()
