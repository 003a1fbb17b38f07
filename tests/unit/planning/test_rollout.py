"""Steps as text: what waits for what, and what follows a failure. `=` marks what is there before the plan."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest

from deployer.values.operations import CreateContainer, RemoveContainer
from deployer.values.transfers import MakeDirectory, PullImage
from tests.support.plantext import changes_of, problems_of, steps_of
from tests.support.walk import Walk
from tests.support.world import Box
from tests.unit.planning.scene import CPU, EDIT, STOPPED, Scene

GPU: dict[str, Any] = {"placement": {"gpus": 1}}
CHAT: dict[str, Any] = {"placement": CPU}
FIXED: dict[str, Any] = {"placement": CPU, "port": 8001}
KEEP_NONE = {"rollout": {"keep_revisions": 0}}


def lists(*gpus: str, **settings: Any) -> dict[str, Any]:
    return {"replicas": len(gpus), "placement": {"gpus": [[name] for name in gpus]}, **settings}


def text_of(scene: Scene, *services: dict[str, Any]) -> str:
    """The steps from one state of the spec to the next."""
    *before, after = services
    for wish in before:
        scene.apply(wish)
    return "\n".join(steps_of(scene.plan(after), scene.world))


def is_text(found: str, expected: str) -> bool:
    assert found == dedent(expected).strip()
    return True


def test_a_new_replica() -> None:
    assert is_text(
        text_of(Scene({"h1": 0}), {"chat": CHAT}),
        """
        h1/chat-0/create <- pull | undo: remove chat-0
        h1/chat-0/start <- create | undo: remove chat-0
        h1/chat-0/await <- start | undo: remove chat-0
        h1/chat-0/probe <- await | undo: remove chat-0
        h1/chat-0/commit <- probe | undo: remove chat-0
        """,
    )


def test_start_first_where_nothing_is_in_the_way() -> None:
    """The predecessor stops when its successor answered; the image is there, so nothing is pulled."""
    assert is_text(
        text_of(Scene({"h1": 0}), {"chat": CHAT}, {"chat": CHAT | EDIT | KEEP_NONE}),
        """
        h1/chat-0/create | undo: remove chat-0
        h1/chat-0/start <- create | undo: remove chat-0
        h1/chat-0/await <- start | undo: remove chat-0
        h1/chat-0/probe <- await | undo: remove chat-0
        h1/chat-0/commit <- probe | undo: remove chat-0
        h1/chat-0/stop <- commit
        h1/chat-0/retire <- commit, stop
        """,
    )


def test_stop_first_where_the_gpu_is_the_same() -> None:
    """It is created before anything is stopped; from the stop on a failure brings the predecessor back."""
    assert is_text(
        text_of(Scene({"h1": 1}), {"chat": GPU}, {"chat": GPU | EDIT}),
        """
        h1/chat-0/create | undo: remove chat-0
        h1/chat-0/stop <- create | undo: remove chat-0, bring back chat-0=
        h1/chat-0/start <- stop | undo: remove chat-0, bring back chat-0=
        h1/chat-0/await <- start | undo: remove chat-0, bring back chat-0=
        h1/chat-0/probe <- await | undo: remove chat-0, bring back chat-0=
        h1/chat-0/commit <- probe | undo: remove chat-0, bring back chat-0=
        """,
    )


def test_a_rotated_secret_with_a_fixed_port_makes_room_for_the_name() -> None:
    scene = Scene({"h1": 0})
    wish = {"chat": FIXED | {"env": {"KEY": {"secret": "key"}}}}
    scene.apply(wish)
    scene.secret = "two"
    back = "rename chat-0=.old to chat-0"
    assert is_text(
        text_of(scene, wish),
        f"""
        h1/chat-0/rename | undo: {back}
        h1/chat-0/create <- rename | undo: remove chat-0=, {back}
        h1/chat-0/stop <- create | undo: remove chat-0=, {back}, bring back chat-0=
        h1/chat-0/start <- stop | undo: remove chat-0=, {back}, bring back chat-0=
        h1/chat-0/await <- start | undo: remove chat-0=, {back}, bring back chat-0=
        h1/chat-0/probe <- await | undo: remove chat-0=, {back}, bring back chat-0=
        h1/chat-0/commit <- probe | undo: remove chat-0=, {back}, bring back chat-0=
        h1/chat-0/retire <- commit, stop
        """,
    )


def test_a_name_that_an_earlier_predecessor_still_has_is_cleared_first() -> None:
    scene = Scene({"h1": 0})
    wish = {"chat": FIXED | {"env": {"KEY": {"secret": "key"}}}}
    scene.apply(wish)
    scene.secret = "two"
    found = scene.plan(wish)
    Walk(scene.world, tuple(s for s in found.steps if not s.id.endswith("/retire"))).run()
    assert sorted(box.status for box in scene.world.all_boxes) == ["exited", "running"]
    scene.secret = "three"
    again = scene.plan(wish)
    assert steps_of(again)[:2] == [
        "h1/chat-0/clear",
        "h1/chat-0/rename <- clear | undo: rename chat-0.old to chat-0",
    ]
    Walk(scene.world, again.steps).run()
    assert [box.name.endswith(".old") for box in scene.world.all_boxes] == [False]
    assert scene.plan(wish).is_empty


def short(found: str) -> list[str]:
    """Without what a failure does, and only where something waits for another replica."""
    lines = [line.partition(" | undo")[0] for line in found.splitlines()]
    return [line for line in lines if "/" in line.partition(" <- ")[2]]


def test_one_replica_at_a_time() -> None:
    wish = {"replicas": 3, **GPU}
    assert short(text_of(Scene({"h1": 3}), {"chat": wish}, {"chat": wish | EDIT})) == [
        "h1/chat-1/create <- h1/chat-0/commit",
        "h1/chat-2/create <- h1/chat-1/commit",
    ]


def test_two_replicas_at_a_time() -> None:
    wish = {"replicas": 4, **GPU}
    two = wish | EDIT | {"rollout": {"max_unavailable": 2}}
    assert short(text_of(Scene({"h1": 4}), {"chat": wish}, {"chat": two})) == [
        "h1/chat-2/create <- h1/chat-0/commit",
        "h1/chat-3/create <- h1/chat-1/commit",
    ]


def test_recreate_stops_all_before_the_first_starts() -> None:
    wish = {"replicas": 2, **CHAT}
    after = wish | EDIT | {"rollout": {"strategy": "recreate"}}
    assert short(text_of(Scene({"h1": 0}), {"chat": wish}, {"chat": after})) == [
        "h1/chat-0/start <- stop, h1/chat-1/stop",
        "h1/chat-1/start <- stop, h1/chat-0/stop",
    ]


def test_a_recreated_replica_that_moves_is_brought_back_on_its_old_host() -> None:
    recreate = {"rollout": {"strategy": "recreate", "keep_revisions": 0}}
    before = {"chat": {"placement": {**CPU, "hosts": ["h2"]}, **recreate}}
    after = {"chat": {"placement": {**CPU, "hosts": ["h1"]}, **recreate}}
    assert is_text(
        text_of(Scene({"h1": 0, "h2": 0}), before, after),
        """
        h1/chat-0/create <- pull | undo: remove chat-0
        h2/chat-0/stop <- h1/chat-0/create | undo: bring back chat-0=, h1: remove chat-0
        h1/chat-0/start <- h2/chat-0/stop | undo: remove chat-0, h2: bring back chat-0=
        h1/chat-0/await <- start | undo: remove chat-0, h2: bring back chat-0=
        h1/chat-0/probe <- await | undo: remove chat-0, h2: bring back chat-0=
        h1/chat-0/commit <- probe | undo: remove chat-0, h2: bring back chat-0=
        h2/chat-0/retire <- h1/chat-0/commit, stop
        """,
    )


def test_two_fixed_ports_are_swapped_together() -> None:
    """Both stop before either starts, and neither is committed before both answer."""
    before = {"api": FIXED, "chat": CHAT | {"port": 8002}}
    after = {"api": CHAT | {"port": 8002}, "chat": FIXED}
    undo = "undo: remove api-0, remove chat-0, bring back api-0=, bring back chat-0="
    assert is_text(
        text_of(Scene({"h1": 0}), before, after),
        f"""
        h1/api-0/create | undo: remove api-0
        h1/chat-0/create | undo: remove chat-0
        h1/api-0/stop <- create | {undo}
        h1/chat-0/stop <- create | {undo}
        h1/api-0/start <- stop, h1/chat-0/stop | {undo}
        h1/chat-0/start <- stop, h1/api-0/stop | {undo}
        h1/api-0/await <- start | {undo}
        h1/chat-0/await <- start | {undo}
        h1/api-0/probe <- await | {undo}
        h1/chat-0/probe <- await | {undo}
        h1/api-0/commit <- probe, h1/chat-0/probe | {undo}
        h1/chat-0/commit <- probe, h1/api-0/probe | {undo}
        """,
    )


def test_a_swap_over_two_hosts_is_undone_on_both() -> None:
    found = text_of(Scene({"h1": 1, "h2": 1}), {"api": lists("h1:0", "h2:0")}, {"api": lists("h2:0", "h1:0")})
    starts = sorted(line for line in found.splitlines() if "/start" in line.partition(" <- ")[0])
    assert starts == [
        "h1/api-1/start <- h2/api-1/stop, h1/api-0/stop"
        " | undo: remove api-1, bring back api-0=, h2: remove api-0, h2: bring back api-1=",
        "h2/api-0/start <- h1/api-0/stop, h2/api-1/stop"
        " | undo: remove api-0, bring back api-1=, h1: remove api-1, h1: bring back api-0=",
    ]


def test_nothing_of_a_swap_is_removed_before_all_of_it_answers() -> None:
    before = {"api": FIXED | KEEP_NONE, "chat": CHAT | {"port": 8002} | KEEP_NONE}
    after = {"api": CHAT | {"port": 8002} | KEEP_NONE, "chat": FIXED | KEEP_NONE}
    found = text_of(Scene({"h1": 0}), before, after).splitlines()
    assert found[-2:] == [
        "h1/api-0/retire <- commit, stop, h1/chat-0/commit",
        "h1/chat-0/retire <- commit, stop, h1/api-0/commit",
    ]


def test_a_chain_of_gpus_goes_from_its_free_end() -> None:
    before, after = lists("h1:0", "h1:1", "h1:2"), lists("h1:1", "h1:2", "h1:3")
    found = text_of(Scene({"h1": 4}), {"api": before}, {"api": after})
    assert short(found) == [
        "h1/api-1/create <- h1/api-2/commit, h1/api-2/stop",
        "h1/api-0/create <- h1/api-1/commit, h1/api-1/stop",
    ]
    assert [line.partition(" <- ")[0] for line in found.splitlines() if "/stop" in line.partition(" <- ")[0]] == [
        "h1/api-2/stop",
        "h1/api-1/stop",
        "h1/api-0/stop",
    ]


def test_a_removal_frees_a_gpu_for_another_service() -> None:
    assert short(text_of(Scene({"h1": 1}), {"api": GPU}, {"chat": GPU})) == ["h1/chat-0/create <- h1/api-0/remove"]


def test_a_stop_frees_a_gpu_for_another_service() -> None:
    after = {"api": GPU | STOPPED, "chat": GPU}
    assert short(text_of(Scene({"h1": 1}), {"api": GPU}, after)) == ["h1/chat-0/create <- h1/api-0/stop"]


def test_whoever_waits_for_a_swap_waits_for_all_of_it() -> None:
    """`docs` takes the GPU that `api-1` leaves; that is only sure when both of the swap are committed."""
    before = {"api": lists("h1:0", "h1:1"), "docs": GPU}
    scene = Scene({"h1": 3})
    scene.apply(before)
    assert scene.box("docs-0").spec.gpus == ("GPU-h1-2",)
    after = {
        "api": {"replicas": 2, "placement": {"gpus": [["h1:1"], ["h1:0"]]}},
        "docs": {"placement": {"gpus": ["h1:2"]}},
    }
    assert "h1/docs-0" not in text_of(scene, after)


def test_on_failure_stop_leaves_things_as_they_are() -> None:
    after = GPU | EDIT | {"rollout": {"on_failure": "stop"}}
    found = text_of(Scene({"h1": 1}), {"chat": GPU}, {"chat": after})
    assert [line for line in found.splitlines() if "undo" in line] == ["h1/chat-0/create | undo: remove chat-0"]


def test_what_never_answered_is_killed_at_once() -> None:
    scene = Scene({"h1": 1})
    scene.apply({"chat": GPU})
    undone = [o for step in scene.plan({"chat": GPU | EDIT}).steps for o in step.on_failure]
    assert {o.grace for o in undone if isinstance(o, RemoveContainer)} == {0.0}


def test_a_start_of_what_is_there_undoes_nothing() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT})
    scene.apply({"chat": CHAT | STOPPED})
    assert is_text(
        text_of(scene, {"chat": CHAT}),
        """
        h1/chat-0/start
        h1/chat-0/await <- start
        h1/chat-0/probe <- await
        h1/chat-0/commit <- probe
        """,
    )


def test_no_request_where_the_spec_wants_none() -> None:
    found = text_of(Scene({"h1": 0}), {"chat": CHAT | {"health": {"probe": "none"}}})
    assert [line.split()[0] for line in found.splitlines()] == [
        "h1/chat-0/create",
        "h1/chat-0/start",
        "h1/chat-0/await",
        "h1/chat-0/commit",
    ]


# --- what is shared ----------------------------------------------------------------------------


def test_replicas_of_a_host_share_pull_and_directories() -> None:
    scene = Scene({"h1": 2, "h2": 2})
    wish = {"chat": {"backend": "vllm", "replicas": 4, "placement": {"gpus": 1}}}
    found = scene.plan(wish)
    pulls = [(s.host, s.operation.image) for s in found.steps if isinstance(s.operation, PullImage)]
    assert len(pulls) == 2
    assert {host for host, _ in pulls} == {"h1", "h2"}
    made = [(s.host, s.operation.path) for s in found.steps if isinstance(s.operation, MakeDirectory)]
    assert len(made) == len(set(made))
    assert {path.split("/")[-3:-1] == ["lab-1", "chat"] for _, path in made} == {True}
    creates = [s for s in found.steps if isinstance(s.operation, CreateContainer)]
    assert all(any("/pull/" in n for n in s.needs) and any("/directory/" in n for n in s.needs) for s in creates)


def test_an_image_that_is_there_is_not_pulled() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT})
    assert not [s for s in scene.plan({"chat": CHAT | {"replicas": 2}}).steps if isinstance(s.operation, PullImage)]


def test_every_step_says_why() -> None:
    scene = Scene({"h1": 1})
    scene.apply({"chat": GPU})
    assert all(step.why for step in scene.plan({"chat": GPU | EDIT, "api": CHAT}).steps)


# --- promises ----------------------------------------------------------------------------------


def numbers(scene: Scene, services: dict[str, Any]) -> dict[str, tuple[int, int, int, bool]]:
    """Service -> ready before, never fewer than, wanted, downtime."""
    found = scene.plan(services)
    return {a.service: (a.ready_before, a.min_ready, a.desired, a.downtime) for a in found.rollout}


def test_start_first_costs_nothing() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT})
    assert numbers(scene, {"chat": CHAT | EDIT}) == {"chat": (1, 1, 1, False)}


def test_stop_first_costs_as_many_as_go_at_a_time() -> None:
    scene, wish = Scene({"h1": 4}), {"replicas": 4, **GPU}
    scene.apply({"chat": wish})
    assert numbers(scene, {"chat": wish | EDIT}) == {"chat": (4, 3, 4, False)}
    two = {"rollout": {"max_unavailable": 2}}
    assert numbers(scene, {"chat": wish | EDIT | two}) == {"chat": (4, 2, 4, False)}
    recreate = {"rollout": {"strategy": "recreate"}}
    assert numbers(scene, {"chat": wish | EDIT | recreate}) == {"chat": (4, 0, 4, True)}


def test_what_goes_down_together_counts_together() -> None:
    scene = Scene({"h1": 3})
    scene.apply({"api": lists("h1:0", "h1:1", "h1:2")})
    swapped = lists("h1:1", "h1:0", "h1:2")
    assert numbers(scene, {"api": swapped}) == {"api": (3, 1, 3, False)}
    allowed = ({}, {"rollout": {"max_unavailable": 2}}, {"rollout": {"strategy": "recreate"}})
    assert [scene.plan({"api": swapped | more}).rollout[0].too_many for more in allowed] == [2, 0, 0]


def test_removals_and_stops_are_counted_but_are_no_downtime() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"api": CHAT | {"replicas": 2}, "chat": CHAT})
    assert numbers(scene, {"api": CHAT, "chat": CHAT | STOPPED}) == {"api": (2, 1, 1, False), "chat": (1, 0, 0, False)}
    assert numbers(scene, {"chat": CHAT}) == {"api": (2, 0, 0, False), "chat": (1, 1, 1, False)}


def test_what_does_not_answer_is_not_counted() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT | {"replicas": 2}})
    boxes: list[Box] = scene.world.all_boxes
    boxes[0].status = "paused"
    assert numbers(scene, {"chat": CHAT | {"replicas": 2}}) == {"chat": (1, 1, 2, False)}


def test_no_unavailable_replica_is_a_promise_that_a_plan_may_not_break() -> None:
    scene = Scene({"h1": 1})
    none = {"rollout": {"max_unavailable": 0}}
    scene.apply({"chat": GPU | none, "api": CHAT | none})
    found = scene.plan({"chat": GPU | none | EDIT, "api": CHAT | none | EDIT})
    assert problems_of(found) == [
        "error max-unavailable: service `chat` allows no unavailable replica, but 1 can only be replaced stop-first"
    ]
    (problem,) = found.problems
    assert problem.evidence == ("chat-0 on h1 claims the GPU or port of its predecessor",)
    assert problem.hint == "free a GPU, leave `port` unset, or set `rollout.max_unavailable: 1`"
    assert changes_of(found)[0] == "api-0 replace h1 (change): spec-changed"


def crashed(jobs: int) -> Scene:
    """An apply that replaces what runs on the only GPU dies after so many jobs; nothing new ever answers."""
    scene = Scene({"h1": 1})
    scene.apply({"chat": GPU})
    found = scene.plan({"chat": GPU | EDIT})
    Walk(scene.world, found.steps).run(stop_after=jobs)
    return scene


@pytest.mark.parametrize("jobs", range(7))
@pytest.mark.parametrize("context", [4096, 2048])
def test_after_a_crash_and_a_failure_the_one_that_answered_serves_again(jobs: int, context: int) -> None:
    scene = crashed(jobs)
    answered = {box.id for box in scene.world.all_boxes if box.has_answered}
    scene.world.bad = lambda box: box.id not in answered
    Walk(scene.world, scene.plan({"chat": GPU | {"options": {"context_length": context}}}).steps).run()
    assert scene.world.ready("chat") == 1


@pytest.mark.parametrize("jobs", range(3, 6))
def test_going_back_after_a_crash_starts_what_is_there(jobs: int) -> None:
    """The one that answered is not made anew: it is started, and whatever comes of that it is still there."""
    scene = crashed(jobs)
    (good,) = [box.id for box in scene.world.all_boxes if box.key.service == "chat" and box.status == "exited"]
    found = scene.plan({"chat": GPU})
    assert [c for c in changes_of(found)] == ["chat-0 start h1 (drift): unfinished"]
    Walk(scene.world, found.steps).run()
    assert [box.id for box in scene.world.all_boxes if box.status == "running"] == [good]
    assert scene.world.ready("chat") == 1
