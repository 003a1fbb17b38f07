"""Services handed over as a whole, canaries, and how long a service is down."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.values.plan import Plan
from tests.support.plantext import changes_of, steps_of
from tests.support.walk import Walk
from tests.support.world import Box
from tests.unit.planning.scene import CPU, EDIT, Scene

CHAT: dict[str, Any] = {"placement": CPU}
GPU: dict[str, Any] = {"placement": {"gpus": 1}}
STOP: dict[str, Any] = {"rollout": {"on_failure": "stop"}}


def three(**settings: Any) -> dict[str, Any]:
    return GPU | {"replicas": 3} | settings


def serving(scene: Scene) -> dict[str, str]:
    return {str(box.key): box.name for box in scene.world.all_boxes if box.status == "running" and box.is_verified}


def bad(index: int) -> Any:
    """The successor of one replica never answers."""

    def is_bad(box: Box) -> bool:
        return box.key.index == index and box.apply > 1

    return is_bad


def failing(scene: Scene, services: dict[str, Any], index: int) -> Plan:
    scene.world.bad = bad(index)
    found = scene.plan(services)
    promised = {a.service: a.min_ready for a in found.rollout}

    def watch() -> None:
        for service, least in promised.items():
            assert scene.world.ready(service) >= least

    Walk(scene.world, found.steps, watch=watch).run()
    return found


# --- as a whole ------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("service", [three(), CHAT | {"replicas": 3}], ids=["stop-first", "start-first"])
def test_where_one_successor_fails_all_go_back(service: dict[str, Any], index: int) -> None:
    scene = Scene({"h1": 2, "h2": 1})
    scene.apply({"chat": service})
    before = serving(scene)
    failing(scene, {"chat": service | EDIT}, index)
    assert serving(scene) == before
    assert len(scene.world.all_boxes) == 3, "no successor is left"


def test_the_steps_say_so() -> None:
    scene = Scene({"h1": 2})
    two = GPU | {"replicas": 2}
    scene.apply({"chat": two})
    commits = [line for line in steps_of(scene.plan({"chat": two | EDIT}), scene.world) if "/commit <-" in line]
    assert commits == [
        f"h1/chat-{i}/commit <- probe | undo: remove chat-{i}, bring back chat-{i}="
        f" | reverts: remove chat-{i}, bring back chat-{i}="
        for i in (0, 1)
    ]


def test_start_first_goes_back_start_first() -> None:
    scene = Scene({"h1": 0})
    two = CHAT | {"replicas": 2}
    scene.apply({"chat": two})
    commits = [line for line in steps_of(scene.plan({"chat": two | EDIT}), scene.world) if "/commit <-" in line]
    assert commits[0].endswith("| reverts: bring back chat-0=, remove chat-0")


def test_with_on_failure_stop_each_replica_is_on_its_own() -> None:
    scene = Scene({"h1": 3})
    scene.apply({"chat": three(**STOP)})
    before = serving(scene)
    failing(scene, {"chat": three(**STOP) | EDIT}, 1)
    after = serving(scene)
    assert after["chat-0"] != before["chat-0"]
    assert "chat-1" not in after


def test_a_replica_that_is_new_goes_too() -> None:
    """Beside old ones it would be another revision than theirs."""
    scene = Scene({"h1": 3})
    scene.apply({"chat": GPU | {"replicas": 2}})
    before = serving(scene)
    failing(scene, {"chat": three() | EDIT}, 1)
    assert serving(scene) == before


def test_a_first_deployment_keeps_what_answers() -> None:
    scene = Scene({"h1": 3})
    scene.world.bad = lambda box: box.key.index == 1
    Walk(scene.world, scene.plan({"chat": three()}).steps).run()
    assert sorted(serving(scene)) == ["chat-0", "chat-2"]


def test_what_another_service_takes_over_is_given_away() -> None:
    """`docs` takes the GPU that `chat-0` leaves: `chat` cannot go back as a whole, and the plan does not say so."""
    scene = Scene({"h1": 3})
    lists = {"placement": {"gpus": [["h1:0"], ["h1:1"]]}, "replicas": 2}
    scene.apply({"chat": lists})
    moved = {"placement": {"gpus": [["h1:2"], ["h1:1"]]}, "replicas": 2}
    found = scene.plan({"chat": moved | EDIT, "docs": {"placement": {"gpus": ["h1:0"]}}})
    assert not [step for step in found.steps if step.bound]


def test_where_a_predecessor_does_not_come_back_no_other_is_touched() -> None:
    """What serves the new revision goes on serving: better two revisions than one replica less."""
    scene = Scene({"h1": 2, "h2": 1})
    scene.apply({"chat": three()})
    found = scene.plan({"chat": three() | EDIT})
    scene.world.bad = lambda box: box.key.index == 1
    Walk(scene.world, found.steps).run()
    assert sorted(serving(scene)) == ["chat-0", "chat-1", "chat-2"]
    assert sum(box.apply == 2 for box in scene.world.all_boxes if box.status == "running") == 1
    scene.world.bad = lambda box: False
    assert changes_of(scene.plan({"chat": three() | EDIT})) != []


# --- canaries --------------------------------------------------------------------------------

CANARY: dict[str, Any] = {"rollout": {"strategy": "canary", "max_unavailable": 2}}


def test_one_goes_first_and_the_rest_waits_for_its_answer() -> None:
    scene = Scene({"h1": 3})
    scene.apply({"chat": three()})
    found = scene.plan({"chat": three(**CANARY) | EDIT})
    starts = [line.partition(" | ")[0] for line in steps_of(found, scene.world) if "/create" in line]
    assert starts == [
        "h1/chat-0/create",
        "h1/chat-1/create <- h1/chat-0/commit",
        "h1/chat-2/create <- h1/chat-0/commit",
    ]


def test_where_the_canary_fails_no_other_is_touched() -> None:
    scene = Scene({"h1": 3})
    scene.apply({"chat": three()})
    before = serving(scene)
    failing(scene, {"chat": three(**CANARY) | EDIT}, 0)
    assert serving(scene) == before
    assert max(box.apply for box in scene.world.all_boxes if box.key.index > 0) == 1


def test_new_replicas_wait_for_the_canary_too() -> None:
    scene = Scene({"h1": 3})
    found = scene.plan({"chat": three(**CANARY)})
    text = steps_of(found, scene.world)
    assert "h1/chat-1/create <- pull, h1/chat-0/commit | undo: remove chat-1" in text


def test_a_canary_that_an_apply_left_unfinished_is_still_the_canary() -> None:
    scene = Scene({"h1": 3})
    scene.apply({"chat": three()})
    found = scene.plan({"chat": three(**CANARY) | EDIT})
    Walk(scene.world, found.steps).run(stop_after=5)
    again = scene.plan({"chat": three(**CANARY) | EDIT})
    for line in steps_of(again, scene.world):
        if line.startswith(("h1/chat-1/create", "h1/chat-2/create")):
            assert "h1/chat-0/commit" in line


# --- downtime ----------------------------------------------------------------------------------


def down(found: Plan) -> tuple[float, bool, float | None] | None:
    (service,) = found.rollout
    return (service.down.seconds, service.down.measured, service.down.allowed) if service.down else None


def test_it_is_what_the_last_start_took_there() -> None:
    scene = Scene({"h1": 1})
    scene.apply({"chat": GPU})
    assert down(scene.plan({"chat": GPU | EDIT | {"rollout": {"max_downtime": "2m"}}})) == (1.0, True, 120.0)


def test_where_nothing_was_noted_it_is_a_bound() -> None:
    scene = Scene({"h1": 1})
    scene.apply({"chat": GPU})
    scene.box("chat-0").is_noted = False
    health = {"health": {"ready_timeout": "5m"}, "container": {"stop_grace": "10s"}}
    found = scene.plan({"chat": GPU | EDIT | health | {"rollout": {"max_downtime": "2m"}}})
    assert down(found) == (10 + 300 + 120, False, 120.0)
    (service,) = found.rollout
    assert service.down is not None
    assert service.down.is_too_long


def test_a_service_that_stays_up_has_none() -> None:
    scene = Scene({"h1": 2})
    two = GPU | {"replicas": 2}
    scene.apply({"chat": two})
    assert down(scene.plan({"chat": two | EDIT})) is None


def test_all_at_once_is_down_once() -> None:
    scene = Scene({"h1": 2})
    two = GPU | {"replicas": 2, "rollout": {"strategy": "recreate"}}
    scene.apply({"chat": two})
    assert down(scene.plan({"chat": two | EDIT})) == (1.0, True, None)


# --- after a crash -------------------------------------------------------------------------------


def test_a_predecessor_with_another_port_comes_back_after_a_crash_too() -> None:
    """The apply died once the predecessor was stopped; the successor of the next one does not answer."""
    scene = Scene({"h1": 1})
    scene.apply({"chat": GPU | {"port": 8001}})
    before = serving(scene)
    after = {"chat": GPU | {"port": 8002}}
    Walk(scene.world, scene.plan(after).steps).run(stop_after=3)
    assert serving(scene) == {}
    scene.world.bad = lambda box: box.apply > 1
    Walk(scene.world, scene.plan(after).steps).run()
    assert serving(scene) == before


def test_but_not_on_a_port_that_somebody_has_by_then() -> None:
    scene = Scene({"h1": 1})
    scene.apply({"chat": GPU | {"port": 8001}})
    after = {"chat": GPU | {"port": 8002}}
    Walk(scene.world, scene.plan(after).steps).run(stop_after=3)
    scene.world.foreign_ports["h1"] = {8001}
    assert "bring back" not in "\n".join(steps_of(scene.plan(after), scene.world))
