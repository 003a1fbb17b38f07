"""Successors beside what they replace: on free GPUs of the host, or on another host where a promise needs it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deployer.values.facts import HostFacts
from tests.support.plantext import changes_of, problems_of, steps_of
from tests.support.walk import Walk
from tests.unit.planning.scene import CPU, EDIT, Scene, placements_of, ports_of

GPU: dict[str, Any] = {"placement": {"gpus": 1}}
NEVER_DOWN: dict[str, Any] = {"rollout": {"max_unavailable": 0}}
SOON: dict[str, Any] = {"rollout": {"max_downtime": "0s"}}


def serving(gpus: dict[str, int], wish: dict[str, Any], **others: dict[str, Any]) -> Scene:
    scene = Scene(gpus)
    scene.apply({"chat": wish, **others})
    return scene


def waiting(scene: Scene, wish: dict[str, Any], *verbs: str) -> list[str]:
    lines = [line.partition(" | undo")[0] for line in steps_of(scene.plan({"chat": wish}), scene.world)]
    return [line for line in lines if line.partition(" ")[0].rpartition("/")[2] in verbs]


def test_a_free_gpu_lets_the_predecessor_serve_until_its_successor_answers() -> None:
    scene = serving({"h1": 2}, GPU)
    found = scene.plan({"chat": GPU | EDIT})
    assert placements_of(found) == {"chat-0": "h1:1"}
    (change,) = found.changes
    assert change.reasons[-1].message == "goes to another GPU, so that its predecessor serves until it answers"
    assert [(d.before, d.after) for d in change.diff if d.path == "gpus"] == [(["GPU-h1-0"], ["GPU-h1-1"])]
    assert waiting(scene, GPU | EDIT, "start", "stop") == ["h1/chat-0/start <- create", "h1/chat-0/stop <- commit"]
    (service,) = found.rollout
    assert (service.min_ready, service.downtime) == (1, False)
    scene.apply({"chat": GPU | EDIT})
    assert scene.plan({"chat": GPU | EDIT}).is_empty


def test_one_free_gpu_is_enough_for_all_replicas_one_after_the_other() -> None:
    wish = {"replicas": 3, **GPU}
    scene = serving({"h1": 4}, wish)
    found = scene.plan({"chat": wish | EDIT})
    assert placements_of(found) == {"chat-0": "h1:3", "chat-1": "h1:0", "chat-2": "h1:1"}
    assert waiting(scene, wish | EDIT, "create", "stop") == [
        "h1/chat-0/create",
        "h1/chat-0/stop <- commit",
        "h1/chat-1/create <- h1/chat-0/commit, h1/chat-0/stop",
        "h1/chat-1/stop <- commit",
        "h1/chat-2/create <- h1/chat-1/commit, h1/chat-1/stop",
        "h1/chat-2/stop <- commit",
    ]
    assert [service.min_ready for service in found.rollout] == [3]


def test_a_gpu_that_another_service_leaves_is_not_waited_for() -> None:
    """Its own rollout must not fail for another one's."""
    scene = serving({"h1": 2}, GPU, docs=GPU)
    assert placements_of(scene.plan({"chat": GPU | EDIT})) == {"chat-0": "h1:0"}


def test_a_free_gpu_of_another_kind_is_not_taken() -> None:
    def mixed(facts: HostFacts) -> HostFacts:
        first, second = facts.gpu.gpus
        return replace(facts, gpu=replace(facts.gpu, gpus=(first, replace(second, name="Tesla T4"))))

    scene = serving({"h1": 2}, GPU)
    scene.seen = mixed
    assert placements_of(scene.plan({"chat": GPU | EDIT})) == {"chat-0": "h1:0"}


def test_a_gpu_of_ones_own_choice_and_a_fixed_port_are_kept() -> None:
    for wish in ({"placement": {"gpus": ["h1:0"]}}, GPU | {"port": 8001}, GPU | {"rollout": {"strategy": "recreate"}}):
        scene = serving({"h1": 2}, wish)
        assert placements_of(scene.plan({"chat": wish | EDIT})) == {"chat-0": "h1:0"}


def test_a_free_gpu_of_the_pool_is_taken() -> None:
    wish = {"placement": {"gpus": ["h1:0", "h1:2"]}}
    assert placements_of(serving({"h1": 3}, wish).plan({"chat": wish | EDIT})) == {"chat-0": "h1:2"}


def test_nothing_that_does_not_serve_is_worth_another_gpu() -> None:
    scene = Scene({"h1": 2})
    scene.world.bad = lambda box: True
    keeps = GPU | {"rollout": {"on_failure": "stop"}}
    found = scene.plan({"chat": keeps})
    Walk(scene.world, found.steps).run(stop_after=3)
    assert placements_of(scene.plan({"chat": keeps | EDIT})) == {"chat-0": "h1:0"}


def test_another_host_is_only_for_a_promise() -> None:
    scene = serving({"h1": 1, "h2": 1}, GPU)
    assert placements_of(scene.plan({"chat": GPU | EDIT})) == {"chat-0": "h1:0"}
    for promise in (NEVER_DOWN, SOON):
        found = scene.plan({"chat": GPU | EDIT | promise})
        assert placements_of(found) == {"chat-0": "h2:0"}
        assert problems_of(found) == []
        assert [(service.min_ready, service.downtime) for service in found.rollout] == [(1, False)]
    assert found.changes[0].reasons[-1].message == (
        "moves from `h1` to `h2`, so that its predecessor serves until it answers"
    )


def test_a_downtime_that_is_short_enough_moves_nothing() -> None:
    wish = GPU | {"rollout": {"max_downtime": "2h"}}
    assert placements_of(serving({"h1": 1, "h2": 1}, wish).plan({"chat": wish | EDIT})) == {"chat-0": "h1:0"}


def test_a_fixed_port_goes_to_another_host_for_a_promise() -> None:
    wish = {"placement": CPU, "port": 8001, **NEVER_DOWN}
    scene = serving({"h1": 0, "h2": 0}, wish)
    found = scene.plan({"chat": wish | EDIT})
    assert (placements_of(found), ports_of(found)) == ({"chat-0": "h2"}, {"chat-0": 8001})
    assert changes_of(found) == ["chat-0 move h1->h2 (change): spec-changed, host-changed"]
    scene.world.foreign_ports["h2"] = {8001}
    assert [problem.partition(":")[0] for problem in problems_of(scene.plan({"chat": wish | EDIT}))] == [
        "error max-unavailable"
    ]


def test_a_host_that_the_service_may_not_be_on_is_not_taken() -> None:
    wish = {"placement": {"gpus": 1, "hosts": ["h1"]}, **NEVER_DOWN}
    found = serving({"h1": 1, "h2": 1}, wish).plan({"chat": wish | EDIT})
    assert [problem.partition(":")[0] for problem in problems_of(found)] == ["error max-unavailable"]


def test_what_an_apply_that_died_began_is_gone_on_with() -> None:
    for jobs in range(1, 8):
        scene = serving({"h1": 3}, GPU)
        Walk(scene.world, scene.plan({"chat": GPU | EDIT}).steps).run(stop_after=jobs)
        made = {box.name for box in scene.world.all_boxes}
        scene.apply({"chat": GPU | EDIT})
        assert {box.name for box in scene.world.all_boxes} == made, jobs


def test_what_an_apply_that_died_began_does_not_stop_what_serves() -> None:
    """The spec was edited once more; the container of the first try has the only other GPU."""
    scene = serving({"h1": 3}, GPU)
    Walk(scene.world, scene.plan({"chat": GPU | EDIT}).steps).run(stop_after=3)
    again = GPU | {"options": {"context_length": 512}}
    found = scene.plan({"chat": again})
    assert placements_of(found) == {"chat-0": "h1:2"}
    assert [service.min_ready for service in found.rollout] == [1]
