"""Hosts that come and go: unreachable, draining, in maintenance, lost."""

from __future__ import annotations

from typing import Any

from deployer.errors import Diagnostic, Severity
from deployer.planning.planner import plan
from deployer.planning.presence import hosts_to_ask
from deployer.planning.questions import questions
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.facts import DockerFacts, HostFacts, ObservedState, PathFact, Unreachable
from deployer.values.plan import Action, Cause, Plan
from deployer.values.resolved import Resolved

GONE = Diagnostic("unreachable", "host `b` cannot be reached")


def a_project(states: dict[str, str], replicas: int = 2, allowed: int = 0) -> Project:
    data: dict[str, Any] = {
        "version": 1,
        "project": "lab",
        "policy": {"unreachable": {"max": allowed}},
        "hosts": {name: {"state": state} for name, state in states.items()},
        "models": {"m": {"source": "file:///m.gguf"}},
        "services": {"chat": {"model": "m", "replicas": replicas, "placement": {"gpus": "none"}}},
    }
    return Project(DeploySpec.model_validate(data), "deploy.yaml", {}, written={"chat": data["services"]["chat"]})


def facts(project: Project, name: str) -> HostFacts:
    paths = {path: PathFact(path, "file", size=1) for path in questions(project)[name]}
    docker = DockerFacts("27", "1.47")
    return HostFacts(name, name, "Debian", "6", "x86_64", 0, 0, "root", 2, 1, 1, "", docker, paths=paths)


def planned(project: Project, **hosts: HostFacts | Unreachable) -> Plan:
    return plan(project, ObservedState(hosts), Resolved())


def test_an_unreachable_host_is_an_error_until_the_policy_allows_it() -> None:
    strict, lenient = a_project({"a": "active", "b": "active"}), a_project({"a": "active", "b": "active"}, allowed=1)
    for project, severity in ((strict, Severity.ERROR), (lenient, Severity.WARNING)):
        found = planned(project, a=facts(project, "a"), b=Unreachable("b", GONE))
        assert [(p.code, p.severity, p.host) for p in found.problems] == [("unreachable", severity, "b")]


def test_a_replica_that_may_run_unseen_is_never_created_elsewhere() -> None:
    project = a_project({"a": "active", "b": "active"}, allowed=1)
    found = planned(project, a=facts(project, "a"), b=Unreachable("b", GONE))
    assert found.steps == ()
    assert {(c.action, c.reasons[0].code) for c in found.changes} == {(Action.KEEP, "unknown")}


def test_a_lost_host_is_replaced_and_not_asked() -> None:
    project = a_project({"a": "active", "b": "lost"})
    found = planned(project, a=facts(project, "a"))
    assert hosts_to_ask(project.spec) == ("a",)
    assert [(c.action, c.host) for c in found.changes] == [(Action.CREATE, "a"), (Action.CREATE, "a")]
    assert not found.problems


def test_a_host_in_maintenance_is_left_alone_without_an_error() -> None:
    project = a_project({"a": "active", "b": "maintenance"})
    found = planned(project, a=facts(project, "a"))
    assert not found.problems
    assert found.steps == ()
    assert found.changes[0].reasons[0].message == "may run on `b`, which is in maintenance; left alone"


def test_a_drained_host_gets_no_replica_and_says_so() -> None:
    project = a_project({"a": "drain"}, replicas=1)
    found = planned(project, a=facts(project, "a"))
    assert found.problems[0].code == "no-placement"
    assert found.problems[0].evidence == ("a  is being drained",)


def test_recorded_facts_without_a_host_are_not_taken_for_an_empty_host() -> None:
    project = a_project({"a": "active", "b": "active"})
    found = planned(project, a=facts(project, "a"))
    assert [(p.code, p.host) for p in found.problems] == [("not-observed", "b")]
    assert all(c.cause is Cause.NONE for c in found.changes)
