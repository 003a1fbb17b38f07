"""Whose project it is, which secrets may go where, and what a destroy takes."""

from __future__ import annotations

from typing import Any

from deployer.values.facts import HostFacts
from deployer.values.plan import Action
from deployer.values.resolved import Resolved
from tests.support.planning import plan_for, project_of
from tests.support.plantext import changes_of, problems_of, steps_of
from tests.support.walk import Walk
from tests.support.world import World
from tests.unit.planning.scene import CPU, EDIT, Scene, a_stranger, with_others

CHAT: dict[str, Any] = {"placement": CPU}
SECRET: dict[str, Any] = CHAT | {"env": {"KEY": {"secret": "key"}}, "replicas": 2}


def test_another_owners_project_of_the_same_name_is_refused() -> None:
    world = World({"h1": 0})
    theirs = project_of({"chat": CHAT}, {"h1": {}}, ("lab", "2"))
    Walk(world, plan_for(theirs, world).steps).run()
    found = plan_for(project_of({"chat": CHAT}, {"h1": {}}, ("lab", "1")), world)
    assert [p.code for p in found.problems] == ["foreign-project"]
    (problem,) = found.problems
    (box,) = world.all_boxes
    assert problem.message == "another project `lab` with another id runs on these hosts"
    assert problem.evidence == (f"h1: container {box.name} has id `2`",)


def test_an_id_that_was_added_to_a_project_that_ran_without_can_be_taken_out_again() -> None:
    world = World({"h1": 0})
    before = project_of({"chat": CHAT}, {"h1": {}}, ("lab", None))
    Walk(world, plan_for(before, world).steps).run()
    after = project_of({"chat": CHAT}, {"h1": {}}, ("lab", "7f3a"))
    (problem,) = plan_for(after, world).problems
    (box,) = world.all_boxes
    assert problem.code == "foreign-project"
    assert problem.message == "a project `lab` without an `id` runs on these hosts, and this one has the id `7f3a`"
    assert problem.evidence == (f"h1: container {box.name} has no id",)
    assert "take `id` out of the spec" in (problem.hint or "")
    assert plan_for(before, world).is_empty, "as the hint says"


def test_without_an_id_the_name_alone_counts() -> None:
    world = World({"h1": 0})
    anonymous = project_of({"chat": CHAT}, {"h1": {}}, ("lab", None))
    found = plan_for(anonymous, world)
    assert not found.has_errors
    assert found.id is None


def test_a_container_that_only_looks_like_ours_is_left_alone() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT})
    name = scene.box("chat-0").name
    scene.world.boxes["h1"].clear()
    scene.seen = with_others(a_stranger(name, labelled_project="lab", labelled_id="1"))
    found = scene.plan({"chat": CHAT})
    assert changes_of(found) == ["chat-0 create h1 (change): new"]
    assert not [s for s in found.steps if "remove" in s.operation.op or "stop" in s.operation.op]


def test_a_secret_stays_on_the_hosts_it_is_for() -> None:
    scene = Scene({"h1": 0, "h2": 0}, {"h1": {"labels": {"tier": "prod"}}, "h2": {}})
    scene.sections = {"secrets": {"key": {"env": "KEY", "hosts": {"tier": "prod"}}}}
    found = scene.plan({"chat": SECRET})
    assert problems_of(found) == [
        "error secret-not-for-host: secret `key` of replica `chat-1` must not be sent to host `h2`"
    ]
    assert found.problems[0].hint == "narrow `placement.hosts` of the service, or widen `hosts` of the secret"
    only_there = SECRET | {"placement": {**CPU, "hosts": {"tier": "prod"}}}
    assert not scene.plan({"chat": only_there}).has_errors


def test_fingerprints_are_in_the_labels_and_values_nowhere() -> None:
    scene = Scene({"h1": 0})
    found = scene.plan({"chat": SECRET})
    creates = [s.operation for s in found.steps if s.operation.op == "create-container"]
    assert {c.labels["deployer.secrets"] for c in creates} == {'{"key":"scrypt:one"}'}
    assert repr(found).count("scrypt:one") == len(creates)


def test_a_secret_that_is_not_known_yet_has_no_fingerprint() -> None:
    scene = Scene({"h1": 0})
    found = plan_for(scene.project({"chat": SECRET}), scene.world, Resolved())
    (first, *_) = [s.operation for s in found.steps if s.operation.op == "create-container"]
    assert first.labels["deployer.secrets"] == "{}"


# --- destroy -----------------------------------------------------------------------------------


def test_destroy_removes_all_of_the_project_and_nothing_else() -> None:
    scene = Scene({"h1": 1, "h2": 0})
    scene.apply({"chat": CHAT | {"replicas": 2}, "api": {"placement": {"gpus": 1}}, "old": CHAT})
    scene.apply({"chat": CHAT | {"replicas": 2} | EDIT, "api": {"placement": {"gpus": 1}, "state": "stopped"}})
    scene.seen = with_others(a_stranger())
    found = scene.destroy({"chat": CHAT})
    assert {change.action for change in found.changes} == {Action.REMOVE}
    assert {reason.code for change in found.changes for reason in change.reasons} == {"destroyed"}
    assert len(steps_of(found)) == len(scene.world.all_boxes) == 5
    Walk(scene.world, found.steps).run()
    assert scene.world.all_boxes == []
    assert scene.destroy({"chat": CHAT}).is_empty


def test_destroy_says_what_is_protected() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT | {"protect": True}})
    assert changes_of(scene.destroy({})) == ["chat-0 remove h1 (change): destroyed, protected"]


def test_destroy_is_refused_for_another_owners_project() -> None:
    scene = Scene({"h1": 0}, seen=with_others(a_stranger("x", labelled_project="lab", labelled_id="2")))
    assert [p.code for p in scene.destroy({}).problems] == ["foreign-project"]


def test_destroy_takes_what_never_started() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT})
    scene.box("chat-0").status = "created"
    assert steps_of(scene.destroy({})) == ["h1/chat-0/remove"]


def test_facts_without_containers_need_no_removal() -> None:
    def bare(facts: HostFacts) -> HostFacts:
        return facts

    assert Scene({"h1": 0}, seen=bare).destroy({"chat": CHAT}).is_empty
