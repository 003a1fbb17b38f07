"""What is brought back, and when it is tried again; an edit of the spec never is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.errors import Diagnostic, RefusedError
from deployer.planning.applied import applied_inputs
from deployer.planning.dropped import records_to_write
from deployer.planning.patience import SHORTEST, SILENT_FOR, Patience, Strikes
from deployer.planning.planner import plan
from deployer.planning.readiness import HEALTH_PATH, backend_of, health_paths
from deployer.planning.repair import (
    EDITED,
    TAKEN,
    Fleet,
    Known,
    fleet,
    holder_of,
    may_still_load,
    refuse_overtaken,
    tolerant,
    with_unresponsive,
)
from deployer.planning.replicas import found_replicas
from deployer.values.facts import HostFacts, ObservedState, Unreachable
from deployer.values.names import ReplicaKey
from deployer.values.operations import StartContainer
from deployer.values.plan import Action, Cause, Change, Reason
from deployer.values.records import LockFact, ProjectRecord, Proven
from deployer.values.resolved import Resolved
from tests.unit.planning.scene import CPU, EDIT, Scene

CHAT: dict[str, Any] = {"placement": CPU}
KEY = ReplicaKey("chat", 0)
BEFORE, LATER = "20260101T000001Z00000000", "29990101T000000Z00000000"  # the scene's first apply, and one after all


@pytest.fixture
def scene() -> Scene:
    made = Scene({"h1": 0})
    made.apply({"chat": CHAT})
    return made


def of(*keys: ReplicaKey) -> Known:
    known = Known()
    known.replicas |= {*keys}
    return known


def seen(scene: Scene, service: dict[str, Any], known: set[ReplicaKey]) -> tuple[list[str], list[str]]:
    """The reasons for which `watch` would act, and those for which it would not although the replica is down."""
    project = scene.project({"chat": service})
    observed = scene.observed(project)
    found = fleet(plan(project, observed, Resolved(setup=scene.said())), observed, of(*known))
    return [c.reasons[0].code for c in found.down], [c.reasons[0].code for c, _ in found.left]


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
    assert [c.key for c in fleet(found, marked, of()).down] == [KEY]


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


def test_a_pause_begins_when_the_attempt_is_over() -> None:
    patience = Patience()
    patience.tried(KEY, 0.0, 300.0, 0.0)
    assert not patience.may(KEY, SHORTEST - 0.1)
    assert patience.ended(KEY, 600.0) == SHORTEST
    assert not patience.may(KEY, 600.0 + SHORTEST - 0.1)
    assert patience.may(KEY, 600.0 + SHORTEST)


def test_looks_count_in_a_row_and_by_start() -> None:
    strikes, start = Strikes(3), ("id", "t1")
    for number, silent in enumerate(({start: "no answer"}, {start: "loading"}, {}, {start: "no answer"}, {start: "?"})):
        strikes.note(silent, number * SILENT_FOR)
        assert strikes.out == frozenset()
    strikes.note({start: "no answer", ("id", "t2"): "no answer"}, 5 * SILENT_FOR)
    assert strikes.out == {start}


def test_looks_that_follow_each_other_closely_do_not_hurry() -> None:
    strikes, start = Strikes(3), ("id", "t1")
    for second in range(int(SILENT_FOR)):
        strikes.note({start: "no answer"}, 100.0 + second)
        assert strikes.out == frozenset()
    strikes.note({start: "no answer"}, 100.0 + SILENT_FOR)
    assert strikes.out == {start}


def looked(scene: Scene, service: dict[str, Any], known: Known, record: ProjectRecord | None = None) -> Fleet:
    """One look of a watch that has this spec."""
    project = scene.project({"chat": service})
    observed = scene.observed(project)
    if record is not None:
        observed = ObservedState({n: replace(h, records=(record,)) for n, h in observed.reachable.items()})
    known.hosts(project, observed)
    found = fleet(plan(project, observed, Resolved(setup=scene.said())), observed, known)
    known.saw(found)
    return found


def record_of(scene: Scene, **about: Any) -> ProjectRecord:
    spec = scene.project({"chat": CHAT}).spec
    return ProjectRecord(spec.project, spec.id or "", LATER, {"h1": ""}, **about)


def codes(found: Fleet) -> tuple[list[str], list[str]]:
    return [c.reasons[0].code for c in found.down], [why for _, why in found.left]


def test_what_another_apply_took_away_stays_away(scene: Scene) -> None:
    known, gone = Known(), record_of(scene, gone={"chat-0": LATER})
    looked(scene, CHAT, known)
    del scene.world.boxes["h1"][scene.box("chat-0").name]
    assert codes(looked(scene, CHAT, known)) == (["new"], [])
    assert codes(looked(scene, CHAT, known, gone)) == ([], [TAKEN.format(LATER)])


def test_what_an_apply_meant_to_take_away_when_it_died_stays_down_too(scene: Scene) -> None:
    known, gone = Known(), record_of(scene, gone={"chat-0": LATER})
    looked(scene, CHAT, known, gone)
    scene.box("chat-0").status = "exited"
    assert codes(looked(scene, CHAT, known, gone)) == ([], [TAKEN.format(LATER)])
    earlier = record_of(scene, gone={"chat-0": "20200101T000000Z00000000"})
    assert codes(looked(scene, CHAT, known, earlier)) == (["exited"], []), "a later apply made it again"


def test_what_was_taken_away_meanwhile_is_not_brought_back(scene: Scene) -> None:
    project = scene.project({"chat": CHAT})
    scene.box("chat-0").status = "exited"
    observed = scene.observed(project)
    made = plan(project, observed, Resolved(setup=scene.said()))
    refuse_overtaken(made, observed, project)
    noted = {n: replace(h, records=(record_of(scene, gone={"chat-0": LATER}),)) for n, h in observed.reachable.items()}
    with pytest.raises(RefusedError, match=f"chat-0.*{LATER}"):
        refuse_overtaken(made, ObservedState(noted), project)


def test_what_was_edited_meanwhile_is_not_brought_back(scene: Scene) -> None:
    project, before = scene.project({"chat": CHAT}), replace(written_down(scene, CHAT), apply=BEFORE)
    scene.seen = lambda facts: replace(facts, records=(before,))
    scene.box("chat-0").status, scene.box("chat-0").restart = "exited", "no"
    observed = scene.observed(project)
    made = plan(project, observed, Resolved(setup=scene.said()))
    refuse_overtaken(made, observed, project)
    noted = Proven("lab", "chat-0", "e" * 64, LATER)
    edited = {n: replace(h, proven=(noted,)) for n, h in observed.reachable.items()}
    with pytest.raises(RefusedError, match=r"chat-0.*edited since"):
        refuse_overtaken(made, ObservedState(edited), project)


def test_what_runs_by_another_spec_is_not_replaced_once_it_is_down(scene: Scene) -> None:
    """Somebody else applied an edit, and its predecessor, which this spec would start again, is kept."""
    known = Known()
    looked(scene, CHAT, known)
    scene.apply({"chat": CHAT | EDIT})
    found = looked(scene, CHAT, known)
    assert codes(found) == ([], [])
    assert found.unlike == {KEY}
    (successor,) = (box for box in scene.world.all_boxes if box.status == "running")
    del scene.world.boxes["h1"][successor.name]
    assert codes(looked(scene, CHAT, known)) == ([], [EDITED])


def written_down(scene: Scene, service: dict[str, Any]) -> ProjectRecord:
    """What an apply of this leaves on the host."""
    project = scene.project({"chat": service})
    record = records_to_write(project, scene.observed(project), LATER)["h1"]
    assert record is not None
    return record


def test_what_was_edited_and_lost_between_two_looks_waits_for_an_apply(scene: Scene) -> None:
    """Its predecessor, which this spec would start again, is kept."""
    known = Known()
    looked(scene, CHAT, known, written_down(scene, CHAT))
    scene.apply({"chat": CHAT | EDIT})
    applied = written_down(scene, CHAT | EDIT)
    (successor,) = (box for box in scene.world.all_boxes if box.status == "running")
    del scene.world.boxes["h1"][successor.name]
    assert codes(looked(scene, CHAT, known, applied)) == ([], [EDITED])


def test_what_is_removed_comes_back_though_its_predecessor_is_kept(scene: Scene) -> None:
    known, edited = Known(), CHAT | EDIT
    scene.apply({"chat": edited})
    applied = written_down(scene, edited)
    looked(scene, edited, known, applied)
    (successor,) = (box for box in scene.world.all_boxes if box.status == "running")
    del scene.world.boxes["h1"][successor.name]
    assert codes(looked(scene, edited, known, applied)) == (["removed"], [])
    later = edited | {"env": {"A": "1"}}
    assert codes(looked(scene, later, known, applied)) == ([], [EDITED]), "not applied yet"


def test_what_is_lost_and_was_edited_since_waits_for_an_apply(scene: Scene) -> None:
    known, applied = Known(), written_down(scene, CHAT)
    looked(scene, CHAT, known, applied)
    del scene.world.boxes["h1"][scene.box("chat-0").name]
    assert codes(looked(scene, CHAT | EDIT, known, applied)) == ([], [EDITED])
    assert codes(looked(scene, CHAT | {"protect": True}, known, applied)) == (["new"], []), "no edit of the container"


def test_what_an_apply_made_that_failed_elsewhere_is_brought_back(scene: Scene) -> None:
    """Nothing was written down of it, but it has answered."""
    known, before = Known(), replace(written_down(scene, CHAT), apply="20200101T000000Z00000000")
    scene.apply({"chat": CHAT | EDIT})
    (successor,) = (box for box in scene.world.all_boxes if box.status == "running")
    successor.status = "exited"
    assert codes(looked(scene, CHAT | EDIT, known, before)) == (["exited"], [])


def lost_to_an_apply_that_died(scene: Scene, record: ProjectRecord | None = None) -> Known:
    """What an edit made answered once, and is lost before anything is written down of that edit."""
    known = Known()
    looked(scene, CHAT, known, record)
    scene.apply({"chat": CHAT | EDIT})
    (successor,) = (box for box in scene.world.all_boxes if box.status == "running")
    del scene.world.boxes["h1"][successor.name]
    return known


def test_an_edit_whose_container_is_lost_before_it_is_written_down_is_not_undone(scene: Scene) -> None:
    before = replace(written_down(scene, CHAT), apply=BEFORE)
    known = lost_to_an_apply_that_died(scene, before)
    assert codes(looked(scene, CHAT, known, before)) == ([], [EDITED])


def test_a_watch_with_that_edit_brings_it_back(scene: Scene) -> None:
    before = replace(written_down(scene, CHAT), apply=BEFORE)
    lost_to_an_apply_that_died(scene, before)
    assert codes(looked(scene, CHAT | EDIT, of(KEY), before)) == (["removed"], [])


def test_what_an_apply_about_something_else_writes_down_knows_of_it_too(scene: Scene) -> None:
    before = replace(written_down(scene, CHAT), apply=BEFORE)
    known = lost_to_an_apply_that_died(scene, before)
    scene.seen = lambda facts: replace(facts, records=(before,))
    after = written_down(scene, CHAT)
    assert after.inputs != before.inputs
    scene.seen = lambda facts: facts
    assert codes(looked(scene, CHAT, known, after)) == ([], [EDITED])


def test_an_edit_that_was_taken_back_after_it_answered_was_not_applied() -> None:
    """Of a service that is handed over as a whole, the second replica does not answer: the first goes back too. Then
    what it went back to is lost."""
    scene, known = Scene({"h1": 0}), Known()
    whole = CHAT | {
        "replicas": 2,
        "rollout": {"on_failure": "rollback"},
        "port": {"number": 8100, "on_conflict": "next"},
    }
    scene.apply({"chat": whole})
    before = replace(written_down(scene, whole), apply=BEFORE)
    looked(scene, whole, known, before)
    was = {box.name for box in scene.world.all_boxes}
    scene.world.bad = lambda box: str(box.key) == "chat-1" and box.name not in was
    scene.apply({"chat": whole | EDIT})
    assert {box.name for box in scene.world.all_boxes if box.status == "running"} == was
    for box in scene.world.all_boxes:
        del scene.world.boxes["h1"][box.name]
    assert codes(looked(scene, whole, known, before)) == (["new", "new"], [])


def test_a_note_that_an_apply_died_before_it_took_back_is_contradicted_by_the_next(scene: Scene) -> None:
    before = replace(written_down(scene, CHAT), apply=BEFORE)
    noted = Proven("lab", "chat-0", "e" * 64, "20260101T000002Z00000000")
    scene.seen = lambda facts: replace(facts, records=(before,), proven=(noted,))
    after = written_down(scene, CHAT)
    assert (after.inputs, after.apply) == (before.inputs, LATER)
    project = scene.project({"chat": CHAT})
    assert applied_inputs(project.spec, {"h1": replace(scene.observed(project).reachable["h1"], records=(after,))})
    scene.seen = lambda facts: replace(facts, records=(after,), proven=(noted,))
    assert records_to_write(project, scene.observed(project), LATER) == {}


def test_after_a_destroy_nothing_is_known(scene: Scene) -> None:
    known = Known()
    looked(scene, CHAT, known, record_of(scene))
    del scene.world.boxes["h1"][scene.box("chat-0").name]
    assert codes(looked(scene, CHAT, known, record_of(scene))) == (["new"], [])
    assert codes(looked(scene, CHAT, known)) == ([], [])
    assert codes(looked(scene, CHAT | EDIT, known)) == ([], []), "nor that it was another one"


def test_a_record_is_missed_only_if_it_was_there_and_all_hosts_were_asked(scene: Scene) -> None:
    project, known, never = scene.project({"chat": CHAT}), Known(), Known()
    facts = scene.observed(project).reachable["h1"]
    dark = Unreachable("h2", Diagnostic("dark", "no answer", host="h2"))
    noted = replace(facts, records=(record_of(scene),))
    never.replicas.add(KEY)
    never.hosts(project, ObservedState({"h1": facts}))
    assert never.replicas == {KEY}
    known.replicas.add(KEY)
    known.hosts(project, ObservedState({"h1": noted, "h2": dark}))
    known.hosts(project, ObservedState({"h1": facts, "h2": dark}))
    assert known.replicas == {KEY}
    known.hosts(project, ObservedState({"h1": facts}))
    assert known.replicas == set()


def test_a_dark_host_keeps_no_other_from_being_looked_after() -> None:
    scene = Scene({"h1": 0, "h2": 0})
    pinned = {"chat": CHAT | {"placement": CPU | {"hosts": "h1"}}, "other": {"placement": CPU | {"hosts": "h2"}}}
    scene.apply(pinned)
    scene.box("chat-0").status = "exited"
    project = scene.project(pinned)
    dark = Unreachable("h2", Diagnostic("dark", "no answer", host="h2"))
    observed = ObservedState({"h1": scene.observed(project).reachable["h1"], "h2": dark})
    assert plan(project, observed, Resolved(setup=scene.said())).has_errors
    found = plan(tolerant(project), observed, Resolved(setup=scene.said()))
    assert not found.has_errors
    assert [(c.key.service, c.action) for c in found.pending] == [("chat", Action.START)]


def test_what_is_held_and_down_is_told_and_left(scene: Scene) -> None:
    project = scene.project({"chat": CHAT})
    held = Change(KEY, "h1", Action.KEEP, Cause.NONE, (Reason("held", "would be replaced, but is held"),))
    scene.box("chat-0").status = "exited"
    observed = scene.observed(project)
    made = replace(plan(project, observed, Resolved(setup=scene.said())), changes=(held,))
    assert [change for change, _ in fleet(made, observed, of(KEY)).left] == [held]
    assert fleet(made, observed, of()).left == ()
    scene.box("chat-0").status = "running"
    assert fleet(made, scene.observed(project), of(KEY)).left == ()


@pytest.mark.parametrize(
    ("expires", "is_believed"),
    [
        ("2026-01-01T00:01:00Z", True),
        ("2026-01-01T00:10:00Z", True),
        ("2026-01-01T00:10:01Z", False),
        ("2026-01-01T00:00:00Z", False),
        ("2025-12-31T23:59:00Z", False),
        ("soon", False),
    ],
)
def test_a_lock_is_believed_for_as_long_as_a_lease_may_be(scene: Scene, expires: str, is_believed: bool) -> None:
    facts = scene.observed(scene.project({"chat": CHAT})).reachable["h1"]
    lock = LockFact("demo", "ada@desk", "2026-01-01T00:00:00Z", expires)
    observed = ObservedState({"h1": replace(facts, time="2026-01-01T00:00:00Z", locks=(lock,))})
    assert holder_of("demo", observed) == ("ada@desk" if is_believed else None)
    assert holder_of("another", observed) is None


def test_an_edit_of_where_health_is_asked_leaves_the_former_place_known() -> None:
    own, edited = {"api": {"health": "/up"}}, {"api": {"health": "/typo"}}
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT | own})

    def paths(service: dict[str, Any]) -> tuple[str, ...]:
        project = scene.project({"chat": CHAT | service})
        ((item,),) = found_replicas(scene.observed(project)).values()
        backend = backend_of(project.spec, item)
        assert backend is not None
        assert item.recorded.decisions[HEALTH_PATH] == "/up"
        return health_paths(project.spec, item, backend)

    assert paths(own) == ("/up",)
    assert paths(edited) == ("/typo", "/up")
    assert paths({}) == ("/health", "/up")
