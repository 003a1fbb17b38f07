"""Hosts dropped from the inventory while they may still serve: remembered by the others, until somebody says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.errors import Diagnostic, Severity
from deployer.planning.dropped import dropped_hosts, records_to_write
from deployer.planning.planner import plan, plan_destroy
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.facts import (
    ContainerStatus,
    DockerFacts,
    HostFacts,
    ObservedContainer,
    ObservedState,
    Recorded,
    Unreachable,
)
from deployer.values.names import ReplicaKey
from deployer.values.records import ProjectRecord
from deployer.values.resolved import Resolved
from tests.unit.planning.scene import CPU, Scene

EARLY, LATE, NOW = "20260101T000000Z00000000", "20260201T000000Zffffffff", "20260301T000000Z12345678"
A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
GONE = Diagnostic("unreachable", "host cannot be reached")


def project(id: str | None = "7f3a", **hosts: dict[str, Any]) -> Project:
    data: dict[str, Any] = {"version": 1, "project": "lab", "hosts": hosts, "services": {}}
    return Project(DeploySpec.model_validate(data | ({"id": id} if id else {})), "deploy.yaml", {})


def record(apply: str = EARLY, id: str = "7f3a", name: str = "lab", **hosts: str) -> ProjectRecord:
    return ProjectRecord(name, id, apply, hosts)


def ran(made: ProjectRecord, *hosts: str) -> ProjectRecord:
    """The record with `chat` on these hosts."""
    return replace(made, services=dict.fromkeys(hosts, ("chat",)))


def facts(name: str, *records: ProjectRecord, status: ContainerStatus | None = None) -> HostFacts:
    recorded = Recorded("lab", "7f3a", ReplicaKey("chat", 0), 0, "replica", "a" * 12, None)
    ours = ObservedContainer("c" * 64, "lab_chat_0_aaaaaaaaaaaa", "i", "sha256:1", status or "running", recorded)
    return HostFacts(
        name, name, "Debian", "6", "x86_64", 0, 0, "root", 2, 1, 1, "", DockerFacts("27", "1.47"),
        records=records, containers=(ours,) if status else (),
    )  # fmt: skip


def seen(*hosts: HostFacts | Unreachable) -> ObservedState:
    return ObservedState({host.name: host for host in hosts})


def warned(spec: Project, *hosts: HostFacts) -> list[str]:
    found = dropped_hosts(spec, seen(*hosts).reachable)
    assert {(d.code, d.severity) for d in found} <= {("host-dropped", Severity.WARNING)}
    return [d.message.partition(" served")[0] for d in found]


BOTH = record(a=A, b=B)


def test_a_dropped_host_is_said_by_plan_and_by_destroy() -> None:
    spec, state = project(a={"address": A}), seen(facts("a", BOTH))
    for made in (plan(spec, state, Resolved()), plan_destroy(spec, state)):
        (problem,) = made.problems
        assert problem.code == "host-dropped"
        assert problem.message == (
            "host `b` (10.0.0.2) served this project at the last apply and is no longer in the inventory; "
            "it may still serve"
        )
        assert not made.has_errors


def test_hosts_that_are_there_lost_or_renamed_are_not() -> None:
    here = facts("a", BOTH)
    assert warned(project(a={"address": A}, b={"address": B}), here) == []
    assert warned(project(a={"address": A}, b={"address": B, "state": "lost"}), here) == []
    assert warned(project(a={"address": A}, renamed={"address": B}), here) == []
    assert warned(project(a={"address": A}, b={"address": "elsewhere"}), here) == []


def test_the_latest_record_of_our_own_counts() -> None:
    spec = project(a={"address": A}, b={"address": B})
    stale, fresh = record(EARLY, a=A, old="10.9.9.9"), record(LATE, a=A, b=B, c=C)
    assert warned(spec, facts("a", stale), facts("b", fresh)) == ["host `c` (10.0.0.3)"]
    assert warned(spec, facts("a", record(LATE, id="other", x="1"), record(LATE, name="lab2", y="2"))) == []
    assert warned(project(None, a={}), facts("a", record(LATE, id="other", x="1"))) == ["host `x` (1)"]
    assert warned(spec, facts("a", record("zzzz", forged="6.6.6.6")), facts("b", fresh)) == ["host `c` (10.0.0.3)"]


def test_a_local_host_has_no_address() -> None:
    assert warned(project(b={"connection": "local"}), facts("b", record(a="", b=""))) == ["host `a`"]


def test_a_record_full_of_hosts_does_not_flood_the_plan() -> None:
    many = {f"h{n:04}": f"10.1.{n // 256}.{n % 256}" for n in range(3000)}
    found = warned(project(a={}), facts("a", record(**many)))
    assert len(found) == 21
    assert found[-1] == "each of 2980 more hosts"


def test_after_an_apply_every_host_knows_where_the_project_runs() -> None:
    spec = project(a={"address": A}, b={"address": B}, spare={})
    after = seen(facts("a", status="running"), facts("b", status="restarting"), facts("spare"))
    wanted = records_to_write(spec, after, NOW)
    assert set(wanted) == {"a", "b", "spare"}
    assert all(made == ran(record(NOW, a=A, b=B), "a", "b") for made in wanted.values())


def test_a_record_that_says_so_already_is_left_alone() -> None:
    spec = project(a={"address": A}, b={"address": B})
    known = ran(BOTH, "a", "b")
    after = seen(facts("a", known, status="running"), facts("b", record(EARLY, a=A), status="running"))
    assert records_to_write(spec, after, NOW) == {"b": ran(record(NOW, a=A, b=B), "a", "b")}


@pytest.mark.parametrize(
    ("b", "stays"),
    [
        (None, True),  # dropped from the inventory
        ({"address": B}, True),  # unreachable
        ({"address": B, "state": "maintenance"}, True),
        ({"address": B, "state": "lost"}, False),
    ],
)
def test_who_is_out_of_sight_stays_in_the_record(b: dict[str, str] | None, stays: bool) -> None:
    spec = project(**{"a": {"address": A}} | ({"b": b} if b else {}))
    before = ran(record(a=A, b=B, x="10.0.0.9"), "a", "b")
    here = facts("a", before, status="running")
    wanted = records_to_write(spec, seen(here, Unreachable("b", GONE)), NOW)
    if stays:
        assert wanted == {}
    else:
        assert wanted == {"a": ran(record(NOW, a=A, x="10.0.0.9"), "a")}


def test_a_drained_host_leaves_the_record() -> None:
    spec = project(a={"address": A}, b={"address": B, "state": "drain"})
    after = seen(facts("a", BOTH, status="running"), facts("b", BOTH, status="exited"))
    assert records_to_write(spec, after, NOW) == dict.fromkeys(("a", "b"), ran(record(NOW, a=A), "a"))


def test_destroy_removes_the_record_where_nothing_is_left() -> None:
    spec = project(a={"address": A}, b={"address": B}, c={"address": C})
    after = seen(facts("a", BOTH), facts("b", BOTH, status="exited"), facts("c"))
    assert records_to_write(spec, after, NOW, destroy=True) == {"a": None, "b": record(NOW)}


def test_another_owners_record_is_written_over_only_by_an_apply_that_was_allowed() -> None:
    theirs = record(id="other", z="1")
    spec = project(a={"address": A})
    wanted = records_to_write(spec, seen(facts("a", theirs, status="running")), NOW)
    assert wanted == {"a": ran(record(NOW, a=A), "a")}


def test_once_written_nothing_is_left_to_write() -> None:
    spec = project(a={"address": A}, b={"address": B})
    after = seen(facts("a", status="running"), facts("b"))
    wanted = records_to_write(spec, after, NOW)
    settled = [replace(host, records=(wanted[host.name],)) for host in after.reachable.values()]  # type: ignore[arg-type]
    assert records_to_write(spec, seen(*settled), "20270101T000000Z00000000") == {}


def test_what_is_taken_away_is_written_down_until_it_is_back() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": {"placement": CPU}})
    project = scene.project({"chat": {"placement": CPU}})
    here, later = scene.observed(project).reachable["h1"], "20270101T000000Z00000000"
    leaving = [ReplicaKey("chat", 0), ReplicaKey("chat", 1)]
    ahead = records_to_write(project, seen(here), NOW, leaving=leaving)["h1"]
    assert ahead is not None
    assert ahead.gone == {"chat-0": NOW, "chat-1": NOW}, "it still runs, and is to go"
    noted = replace(here, records=(ahead,))
    assert records_to_write(project, seen(replace(noted, containers=())), later) == {
        "h1": replace(ahead, apply=later, hosts={}, services={})
    }
    after = records_to_write(project, seen(noted), later)["h1"]
    assert after is not None
    assert after.gone == {"chat-1": NOW}


def inputs_by_host(project: Project, *hosts: HostFacts, apply: str = NOW) -> dict[str, dict[str, str]]:
    """As they are to be written down where something is to be written."""
    written = records_to_write(project, seen(*hosts), apply)
    return {host: dict(record.inputs) for host, record in written.items() if record is not None}


def test_what_was_applied_is_written_down_where_it_ran_last() -> None:
    scene, later = Scene({"h1": 0, "h2": 0}), "20270101T000000Z00000000"
    services = {"chat": {"placement": CPU | {"hosts": ["h1"]}}}
    scene.apply(services)
    project = scene.project(services)
    there = scene.observed(project).reachable
    (applied,) = inputs_by_host(project, *there.values())["h1"].items()
    assert (applied[0], len(applied[1])) == ("chat-0", 64)
    before = replace(record(NOW, "1", h1=""), inputs=dict([applied]))
    lost, moved = replace(there["h1"], records=(before,), containers=()), there["h1"].containers
    assert inputs_by_host(project, lost, there["h2"], apply=later)["h1"] == dict([applied]), "it is not forgotten"
    there = {"h1": lost, "h2": replace(there["h2"], containers=moved)}
    assert inputs_by_host(project, *there.values(), apply=later) == {"h1": {}, "h2": dict([applied])}
    assert inputs_by_host(scene.project({}), lost, apply=later)["h1"] == {}


def test_what_was_protected_stays_so_when_its_service_left_the_spec() -> None:
    """Also where the protection came after the container, which says nothing of it."""
    scene = Scene({"h1": 0})
    scene.apply({"chat": {"placement": CPU}})
    kept = ProjectRecord("lab", "1", NOW, {"h1": ""}, protected=("chat",))
    scene.seen = lambda facts: replace(facts, records=(kept,))
    assert [r.code for r in scene.plan({}).changes[0].reasons] == ["not-in-spec", "protected"]
    assert [r.code for r in scene.destroy({}).changes[0].reasons] == ["destroyed", "protected"]


def test_models_without_a_chat_template_are_remembered_while_they_are_there() -> None:
    name = "lab_chat_0_aaaaaaaaaaaa"
    found = {("a", name), ("a", "gone"), ("b", name)}
    wanted = records_to_write(project(a={}), seen(facts("a", status="running")), NOW, completing=found)
    assert wanted["a"] is not None
    assert wanted["a"].completing == (name,)


def test_a_replica_that_ran_on_a_dark_host_is_made_nowhere_else() -> None:
    """Also where the same edit moved its service away from that host."""
    scene = Scene({"h1": 0, "h2": 0})
    here = {"placement": CPU | {"hosts": ["h1"]}}
    moved = {"placement": CPU | {"hosts": ["h2"]}}
    ran = ProjectRecord("lab", "1", NOW, {"h1": "", "h2": ""}, services={"h1": ("chat",)})
    scene.hosts = {"h1": {"state": "maintenance"}}
    scene.seen = lambda facts: replace(facts, records=(ran,))
    assert scene.plan({"chat": here}).is_empty
    found = scene.plan({"chat": moved})
    assert found.is_empty
    assert [r.code for r in found.changes[0].reasons] == ["unknown"]
    assert not scene.plan({"other": moved}).is_empty


def test_what_ran_on_a_host_out_of_sight_stays_in_the_record() -> None:
    spec = project(a={"address": A}, b={"address": B})
    earlier = replace(BOTH, services={"a": ("docs",), "b": ("docs",)})
    wanted = records_to_write(spec, seen(facts("a", earlier, status="running"), Unreachable("b", GONE)), NOW)
    assert wanted["a"] is not None
    assert wanted["a"].services == {"a": ("chat",), "b": ("docs",)}


def test_an_apply_of_something_else_forgets_no_protection() -> None:
    """The service left the spec, and its containers are still there."""
    before = replace(ran(record(EARLY, a=A), "a"), protected=("chat", "gone"))
    wanted = records_to_write(project(a={"address": A}), seen(facts("a", before, status="running")), NOW)
    assert wanted["a"] is not None
    assert wanted["a"].protected == ("chat",)
