"""What is brought back, and when it is tried again; an edit of the spec never is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.planning.planner import plan
from deployer.planning.repair import SHORTEST, Patience, Strikes, fleet, may_still_load, with_unresponsive
from deployer.planning.replicas import found_replicas
from deployer.values.facts import HostFacts, ObservedState
from deployer.values.names import ReplicaKey
from deployer.values.plan import StartContainer
from deployer.values.resolved import Resolved
from tests.unit.planning.scene import CPU, EDIT, Scene

CHAT: dict[str, Any] = {"placement": CPU}
KEY = ReplicaKey("chat", 0)


@pytest.fixture
def scene() -> Scene:
    made = Scene({"h1": 0})
    made.apply({"chat": CHAT})
    return made


def seen(scene: Scene, service: dict[str, Any], known: set[ReplicaKey]) -> tuple[list[str], list[str]]:
    """The reasons for which `watch` would act, and those for which it would not although the replica is down."""
    project = scene.project({"chat": service})
    observed = scene.observed(project)
    found = fleet(plan(project, observed, Resolved(setup=scene.said())), observed, known)
    return [c.reasons[0].code for c in found.down], [c.reasons[0].code for c in found.edited]


def test_what_serves_is_left_alone_even_if_its_spec_was_edited(scene: Scene) -> None:
    assert seen(scene, CHAT, {KEY}) == ([], [])
    assert seen(scene, CHAT | EDIT, {KEY}) == ([], [])


def test_what_exited_is_brought_back(scene: Scene) -> None:
    scene.box("chat-0").status = "exited"
    assert seen(scene, CHAT, set()) == (["exited"], [])


def test_what_exited_and_was_edited_waits_for_an_apply(scene: Scene) -> None:
    scene.box("chat-0").status = "exited"
    assert seen(scene, CHAT | EDIT, {KEY}) == ([], ["spec-changed"])


def test_what_is_gone_was_lost_only_if_it_was_seen_to_serve(scene: Scene) -> None:
    del scene.world.boxes["h1"][scene.box("chat-0").name]
    assert seen(scene, CHAT, set()) == ([], []), "nobody applied it yet, for all one knows"
    assert seen(scene, CHAT, {KEY}) == (["new"], [])


def test_a_container_that_serves_nobody_is_started_anew(scene: Scene) -> None:
    project = scene.project({"chat": CHAT})
    observed = scene.observed(project)
    (container,) = (c for c in observed.reachable["h1"].containers if c.recorded)
    marked = with_unresponsive(observed, {(container.id, container.started_at)})
    found = plan(project, marked, Resolved())
    (change,) = found.pending
    assert (change.action, change.cause, change.reasons[0].code) == ("start", "drift", "unresponsive")
    (start,) = (s.operation for s in found.steps if isinstance(s.operation, StartContainer))
    assert (start.id, start.stuck) == (container.id, container.started_at)
    assert [c.key for c in fleet(found, marked, set()).down] == [KEY]


def test_it_is_forgiven_once_it_was_started_anew(scene: Scene) -> None:
    observed = scene.observed(scene.project({"chat": CHAT}))
    (container,) = (c for c in observed.reachable["h1"].containers if c.recorded)
    assert with_unresponsive(observed, {(container.id, "2001-01-01T00:00:00Z")}) == observed


@pytest.mark.parametrize(("now", "loads"), [("2026-01-01T00:00:50Z", True), ("2026-01-01T00:02:10Z", False)])
def test_one_that_was_just_started_has_time_to_load(scene: Scene, now: str, loads: bool) -> None:
    project = scene.project({"chat": CHAT | {"health": {"ready_timeout": "1m"}}})

    def at(facts: HostFacts) -> HostFacts:
        containers = tuple(replace(c, started_at="2026-01-01T00:00:10.5Z") for c in facts.containers)
        return replace(facts, time=now, containers=containers)

    facts = at(scene.observed(project).reachable["h1"])
    ((item,),) = found_replicas(ObservedState({"h1": facts})).values()
    assert may_still_load(project.spec, item) is loads


def test_the_first_attempt_is_at_once_and_the_later_ones_ever_later() -> None:
    patience, now, pauses = Patience(), 1000.0, []
    for _ in range(8):
        assert patience.may(KEY, now)
        pauses.append(patience.tried(KEY, now, 300.0, jitter=0.0))
        assert not patience.may(KEY, now + pauses[-1] - 0.1)
        now += pauses[-1]
    assert pauses == [SHORTEST, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]


def test_jitter_takes_up_to_half_of_a_pause_away() -> None:
    assert Patience().tried(KEY, 0.0, 300.0, jitter=1.0) == SHORTEST / 2
    assert Patience().tried(KEY, 0.0, 4.0, jitter=0.5) == 3.0


def test_one_that_served_for_long_enough_is_tried_at_once_again() -> None:
    patience = Patience()
    patience.tried(KEY, 0.0, 300.0, 0.0)
    patience.tried(KEY, 20.0, 300.0, 0.0)
    patience.served(KEY, 100.0, 300.0)
    assert patience.tried(KEY, 100.0, 300.0, 0.0) == 40.0
    patience.served(KEY, 401.0, 300.0)
    assert patience.may(KEY, 401.0)
    assert patience.tried(KEY, 401.0, 300.0, 0.0) == SHORTEST


def test_looks_count_in_a_row_and_by_start() -> None:
    strikes, start = Strikes(3), ("id", "t1")
    for silent in ({start: "no answer"}, {start: "loading"}, {}, {start: "no answer"}, {start: "no answer"}):
        strikes.note(silent)
        assert strikes.out == frozenset()
    strikes.note({start: "no answer", ("id", "t2"): "no answer"})
    assert strikes.out == {start}
