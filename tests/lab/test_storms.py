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
FEW = tuple(f"lab{k}" for k in range(HOSTS // 4, HOSTS + 1, HOSTS // 4))
SLOW = FEW[1]
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


def directly(lab: Lab, but: str) -> Counter[tuple[str, str]]:
    return Counter({(host, f"{lab.network}.1"): 1 for host in lab.hosts if host != but})


def through(lab: Lab, jump: str) -> Counter[tuple[str, str]]:
    """One login for all at the jump host, besides its own as a host."""
    own, there = (jump, f"{lab.network}.1"), lab.address(jump)
    return Counter({own: 2, **{(host, there): 1 for host in lab.hosts if host != jump}})


def must_be_few(seen: Counter[tuple[str, str]], expected: Counter[tuple[str, str]]) -> None:
    """One connection a host, whatever happens on it. A hundred hosts on one machine starve each other now and then: one
    in fifty may have stood still for as long as a connection waits, and was given up and made anew."""
    assert expected - seen == Counter(), "a host was never logged in to"
    assert (seen - expected).total() <= HOSTS // 50, seen - expected


def apply_while_one_stands_still(watched: Watched, plan: Any) -> None:
    """The slow host stands still from its first step on, until other hosts are done with all of their own."""
    left = Counter(step["host"] for step in plan["steps"])
    began, others_done = False, 0
    with watched.lines() as lines, ExitStack() as frozen:
        for event in map(json.loads, lines):
            if event["event"] == "step-started" and event["host"] == SLOW and not began:
                began = True
                frozen.enter_context(frozen_ssh(watched.project.lab, SLOW))
            if event["event"] == "step-done":
                left[event["host"]] -= 1
                others_done += began and event["host"] != SLOW and left[event["host"]] == 0
            if others_done == len(FEW) - 1:
                frozen.close()
    assert others_done >= len(FEW) - 1


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
    apply_while_one_stands_still(applied, planned)
    applied.must_be_light()
    seen = applied.logins()
    slow = seen.pop((SLOW, f"{storm.network}.1"))
    assert slow in (1, 2), "one that stands still for a minute is given up and made anew"
    must_be_few(seen, directly(storm, but=SLOW))
    summary = json.loads(applied.out[-1])
    assert (summary["ok"], summary["problems"]) == (True, [])

    project.ssh_config = behind(storm, "lab1", tmp_path / "ssh_config")
    status = everything(project, "status", "--json")
    found = json.loads("".join(status.out))["services"]["chat"]["replicas"]
    assert {(r["host"], r["state"], r["health"]) for r in found} == {(h, "running", "ready") for h in replicas}
    must_be_few(status.logins(), through(storm, "lab1"))

    destroyed = everything(project, "destroy", "-y", "--json")
    must_be_few(destroyed.logins(), through(storm, "lab1"))
    assert storm.names(*replicas[:4]) == []
    assert refusals(storm) == {}
