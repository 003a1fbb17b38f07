"""A host on which no lock can be taken is said when planning, with the command that makes the directory."""

from __future__ import annotations

import pytest

from deployer.errors import Diagnostic
from deployer.planning.planner import plan
from deployer.planning.state_dir import denied_state_dirs
from deployer.spec.project import Project
from deployer.values.facts import DockerFacts, HostFacts, ObservedState, PathFact
from deployer.values.plan import Plan
from deployer.values.resolved import Resolved
from tests.support.planning import MODEL, project_of


def facts(name: str = "h1", writable: bool | None = False, user: str = "ops", uid: int = 1000) -> HostFacts:
    return HostFacts(
        name, name, "Debian", "6", "x86_64", uid, uid, user, 2, 1, 1, "", DockerFacts("27", "1.47"),
        paths={MODEL: PathFact(MODEL, "file", size=1)}, state_writable=writable,
    )  # fmt: skip


def denied(host: HostFacts) -> Diagnostic:
    (found,) = denied_state_dirs({host.name: host})
    return found


def test_the_hint_is_the_one_command() -> None:
    found = denied(facts())
    assert (found.code, found.host, found.severity) == ("state-dir-denied", "h1", "error")
    assert found.hint == "run on the host: `sudo install -d -o ops /var/lib/deployer`, or set `become: sudo`"
    assert "user `ops`" in found.message


@pytest.mark.parametrize("user", ["$(reboot)", "a b", "", "o`ps"])
def test_a_user_that_is_no_plain_word_is_not_put_into_a_command(user: str) -> None:
    assert "-o $USER /" in (denied(facts(user=user)).hint or "")


def test_root_is_not_told_to_use_sudo() -> None:
    assert "read-only" in (denied(facts(user="root", uid=0)).hint or "")


@pytest.mark.parametrize("writable", [True, None])
def test_others_are_not_mentioned(writable: bool | None) -> None:
    assert denied_state_dirs({"h1": facts(writable=writable)}) == ()


def planned(project: Project, *hosts: HostFacts) -> Plan:
    return plan(project, ObservedState({host.name: host for host in hosts}), Resolved())


def test_it_forbids_a_plan_with_steps_and_no_other() -> None:
    service = {"chat": {"placement": {"gpus": "none"}}}
    hosts = (facts("h1", True), facts("h2", False))
    asked = planned(project_of(service), *hosts)
    assert asked.has_errors
    assert [p.code for p in asked.problems] == ["state-dir-denied"]
    assert planned(project_of({}), *hosts).problems == ()
