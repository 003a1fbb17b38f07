"""A hundred hosts with sshd's default MaxStartups and MaxSessions, directly and behind one jump host: none is lost,
threads and memory are bounded, and one that stands still holds up nobody else's steps."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from labkit.hosts import Lab
from labkit.project import Project, Run
from labkit.storm import HOSTS, Footprint, behind, frozen_ssh, logins, refusals, spec, storm_beside, weighed

pytestmark = pytest.mark.xdist_group("storm")

AT_ONCE = 32  # hosts that are worked on
OTHERS = 64  # threads at most for locks, which are renewed meanwhile
FEW = tuple(f"lab{k}" for k in range(HOSTS // 6, HOSTS + 1, HOSTS // 6))
SLOW = FEW[2]
ALL = tuple(f"lab{k}" for k in range(1, HOSTS + 1))


@pytest.fixture(scope="module")
def storm(lab: Lab) -> Iterator[Lab]:
    with storm_beside(lab) as storm:
        yield storm


class Watched:
    """One run of the command line: its events as they come, its weight, and the logins it cost."""

    def __init__(self, project: Project, *arguments: str) -> None:
        self.project, self.arguments = project, arguments
        self.before = logins(project.lab)
        self.out: list[str] = []
        self.footprint = Footprint()

    @contextmanager
    def lines(self) -> Iterator[Iterator[str]]:
        process = self.project.start(*self.arguments)
        with weighed(process.pid) as self.footprint:
            try:
                yield self._lines(process)
                self._end(process)
            finally:
                process.kill()
                process.communicate()

    def _lines(self, process: subprocess.Popen[str]) -> Iterator[str]:
        assert process.stdout is not None
        for line in process.stdout:
            self.out.append(line)
            yield line

    def _end(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        said = process.stderr.read()
        self.project.checked(Run(self.arguments, process.wait(60), "".join(self.out), said), 0)

    def must_be_light(self) -> None:
        threads = HOSTS + 6 * AT_ONCE + OTHERS  # a connection's own; a host's worker, its reader and four askers
        assert 0 < self.footprint.threads <= threads, self.footprint
        assert 0 < self.footprint.memory <= 80 + HOSTS, self.footprint  # MiB

    def logins(self) -> Counter[tuple[str, str]]:
        return logins(self.project.lab) - self.before


def everything(project: Project, *arguments: str) -> Watched:
    """Runs the command to its end."""
    watched = Watched(project, *arguments)
    with watched.lines() as lines:
        list(lines)
    watched.must_be_light()
    return watched


def directly(lab: Lab) -> Counter[tuple[str, str]]:
    return Counter({(host, f"{lab.network}.1"): 1 for host in lab.hosts})


def through(lab: Lab, jump: str) -> Counter[tuple[str, str]]:
    """One login for all at the jump host, besides its own as a host."""
    own, there = (jump, f"{lab.network}.1"), lab.address(jump)
    return Counter({own: 2, **{(host, there): 1 for host in lab.hosts if host != jump}})


def other_steps(plan: Any) -> set[str]:
    return {step["id"] for step in plan["steps"] if step["host"] != SLOW}


def apply_while_one_stands_still(watched: Watched, others: set[str]) -> None:
    """The slow host stands still from its first step on, until every other host is done with all of its own."""
    began = False
    with watched.lines() as lines, ExitStack() as frozen:
        for event in map(json.loads, lines):
            if event["event"] == "step-started" and event["host"] == SLOW and not began:
                began = True
                frozen.enter_context(frozen_ssh(watched.project.lab, SLOW))
            if event["event"] == "step-done":
                others.discard(event["step"])
            if not others:
                frozen.close()
    assert began


@pytest.mark.parametrize("replicas", [FEW, pytest.param(ALL, marks=pytest.mark.heavy)], ids=["few", "all"])
def test_a_storm_of_hosts_must_lose_none_and_hold_up_nobody(
    storm: Lab, tmp_path: Path, replicas: tuple[str, ...]
) -> None:
    project = Project(storm, tmp_path)
    project.write_whole(spec(storm, replicas))

    planned = json.loads(project.run("plan", "--json", timeout=300).out)
    assert set(planned["hosts"]) == set(storm.hosts)
    assert [name for name, host in planned["hosts"].items() if "unreachable" in host] == []
    assert {step["host"] for step in planned["steps"]} == set(replicas)

    applied = Watched(project, "apply", "-y", "--json")
    apply_while_one_stands_still(applied, other_steps(planned))
    applied.must_be_light()
    assert applied.logins() == directly(storm), "one connection a host, whatever happens on it"
    summary = json.loads(applied.out[-1])
    assert (summary["ok"], summary["problems"]) == (True, [])

    project.ssh_config = behind(storm, "lab1", tmp_path / "ssh_config")
    seen = everything(project, "status", "--json")
    found = json.loads("".join(seen.out))["services"]["chat"]["replicas"]
    assert {(r["host"], r["state"], r["health"]) for r in found} == {(h, "running", "ready") for h in replicas}
    assert seen.logins() == through(storm, "lab1")

    destroyed = everything(project, "destroy", "-y", "--json")
    assert destroyed.logins() == through(storm, "lab1")
    assert storm.names(*replicas[:6]) == []
    assert refusals(storm) == {}
