"""`replaces`: a service takes port and GPU over from a hand-made container, which comes back when that goes wrong."""

from __future__ import annotations

from typing import Any

import pytest

from deployer.values.operations import StartContainer
from deployer.values.plan import Action, Plan
from tests.support.plantext import changes_of, problems_of, steps_of
from tests.support.walk import Walk
from tests.support.world import Stranger
from tests.unit.planning.scene import CPU, EDIT, Scene, a_stranger, ports_of, with_others

CHAT: dict[str, Any] = {"placement": {"gpus": 1}, "port": 8000, "replaces": ["h1:old"]}


def scene(*strangers: Stranger, **gpus: int) -> Scene:
    found = Scene({"h1": 1, "h2": 1} | gpus)
    found.world.strangers["h1"] = list(strangers)
    return found


def old(**changes: Any) -> Stranger:
    return Stranger("old", **{"gpu": 0, "port": 8000, **changes})


def summary(found: Plan) -> str:
    return "; ".join(changes_of(found))


def test_port_and_gpu_are_taken_over_stop_first() -> None:
    here = scene(old())
    found = here.plan({"chat": CHAT})
    assert summary(found) == "chat-0 create h1 (change): new, replaces"
    assert ports_of(found) == {"chat-0": 8000}
    assert steps_of(found, here.world) == [
        "h1/chat-0/create <- pull | undo: remove chat-0",
        "h1/chat-0/take-over <- create | undo: remove chat-0, give old",
        "h1/chat-0/start <- take-over | undo: remove chat-0, give old",
        "h1/chat-0/await <- start | undo: remove chat-0, give old",
        "h1/chat-0/probe <- await | undo: remove chat-0, give old",
        "h1/chat-0/commit <- probe | undo: remove chat-0, give old",
    ]
    assert found.rollout[0].downtime


def test_it_is_kept_stopped_and_the_next_plan_is_empty() -> None:
    here = scene(old())
    here.apply({"chat": CHAT})
    (stranger,) = here.world.strangers["h1"]
    assert (stranger.status, stranger.restart) == ("exited", "no")
    assert here.plan({"chat": CHAT}).is_empty
    assert summary(here.plan({"chat": CHAT | {"replaces": []}})) == "chat-0 keep h1 (none)"


def test_beside_it_where_nothing_is_in_the_way() -> None:
    """The successor answers before the predecessor is stopped."""
    here = scene(old(), h1=2)
    found = here.plan({"chat": CHAT | {"port": 8001}})
    assert [s.partition(" |")[0] for s in steps_of(found)][-1] == "h1/chat-0/take-over <- commit"
    assert not found.rollout[0].downtime
    here.apply({"chat": CHAT | {"port": 8001}})
    assert here.box("chat-0").spec.gpus == ("GPU-h1-1",)
    assert here.world.strangers["h1"][0].status == "exited"


def test_of_several_gpus_its_own_is_taken() -> None:
    here = scene(old(gpu=1), h1=3)
    here.apply({"chat": CHAT})
    assert here.box("chat-0").spec.gpus == ("GPU-h1-1",)


def test_nobody_else_gets_what_it_holds() -> None:
    found = scene(old(), h2=0).plan({"chat": CHAT | {"replaces": []}})
    assert [p.partition(":")[0] for p in problems_of(found)] == ["error no-placement"]
    greedy = scene(old(), h2=0).plan({"api": {"placement": {"gpus": 1}}, "chat": CHAT})
    assert [p.partition(":")[0] for p in problems_of(greedy)] == ["error no-placement"]
    assert [str(p.key) for p in greedy.placements] == ["chat-0"]


def test_failure_brings_it_back_as_it_was() -> None:
    here = scene(old(restart="unless-stopped"))
    here.world.bad = lambda box: True
    Walk(here.world, here.plan({"chat": CHAT}).steps).run()
    (stranger,) = here.world.strangers["h1"]
    assert (stranger.status, stranger.restart) == ("running", "unless-stopped")
    assert here.world.all_boxes == []


@pytest.mark.parametrize("jobs", range(12))
@pytest.mark.parametrize("edit", [{}, EDIT])
def test_a_crash_anywhere_then_a_failure_still_brings_it_back(jobs: int, edit: dict[str, Any]) -> None:
    """Whatever the first apply did: when it is verified it stays, else the one that served before serves again."""
    here = scene(old())
    Walk(here.world, here.plan({"chat": CHAT}).steps).run(stop_after=jobs)
    served = [box.id for box in here.world.all_boxes if box.is_verified]
    here.world.bad = lambda box: box.id not in served
    Walk(here.world, here.plan({"chat": CHAT | edit}).steps).run()
    (stranger,) = here.world.strangers["h1"]
    if served:
        assert [box.id for box in here.world.all_boxes if box.status == "running"] == served
    else:
        assert (stranger.status, stranger.restart) == ("running", "always")
    here.world.bad = lambda box: False
    for _ in range(2):
        last = here.apply({"chat": CHAT | edit})
    assert last.is_empty
    assert here.world.strangers["h1"][0].status == "exited"


def test_one_that_was_started_again_is_stopped_again() -> None:
    here = scene(old())
    here.apply({"chat": CHAT | {"port": 8001, "placement": CPU}})
    here.world.strangers["h1"][0].status = "running"
    found = here.plan({"chat": CHAT | {"port": 8001, "placement": CPU}})
    assert summary(found) == "chat-0 update h1 (change): replaces"
    assert [s.id for s in found.steps] == ["h1/chat-0/take-over"]


def test_one_that_the_daemon_would_start_gets_the_policy_no() -> None:
    here = scene(old(status="exited"))
    here.apply({"chat": CHAT})
    assert here.world.strangers["h1"][0].restart == "no"


def test_each_replica_takes_one_over() -> None:
    here = scene(old())
    here.world.strangers["h2"] = [Stranger("older", 0, 8000)]
    here.apply({"chat": CHAT | {"replicas": 2, "replaces": ["h1:old", "h2:older"]}})
    assert [(box.key.index, box.spec.gpus) for box in here.world.all_boxes] == [(0, ("GPU-h1-0",)), (1, ("GPU-h2-0",))]
    assert {s.status for made in here.world.strangers.values() for s in made} == {"exited"}


def test_two_replicas_share_what_one_container_held() -> None:
    """The second waits until the first has stopped it."""
    here = scene(old())
    wish = {"replicas": 2, "placement": {"gpus": "none", "hosts": ["h1"]}, "port": 8000, "replaces": ["h1:old"]}
    here.apply({"chat": wish | {"port": {"number": 8000, "on_conflict": "next"}}})
    assert here.world.strangers["h1"][0].status == "exited"
    assert here.plan({"chat": wish | {"port": {"number": 8000, "on_conflict": "next"}}}).is_empty


def test_where_no_replica_comes_it_stays_and_is_said() -> None:
    here = scene(old())
    found = here.plan({"chat": {"placement": CPU | {"hosts": ["h2"]}, "replaces": ["h1:old"]}})
    assert problems_of(found) == [
        "warning not-taken-over: container `old` on `h1` stays: no replica of `chat` is placed there"
    ]
    Walk(here.world, found.steps).run()
    assert here.world.strangers["h1"][0].status == "running"


def test_another_projects_container_is_refused() -> None:
    theirs = a_stranger("theirs", labelled_project="other")
    here = Scene({"h1": 0}, seen=with_others(theirs))
    found = here.plan({"chat": {"placement": CPU, "replaces": ["h1:theirs"]}})
    assert problems_of(found) == [
        "error not-hand-made: container `theirs` on `h1` is not hand-made: project `other` owns it"
    ]


def test_one_that_is_gone_is_no_matter() -> None:
    found = scene().plan({"chat": CHAT})
    assert not found.problems
    assert found.changes[0].action is Action.CREATE


def test_one_that_docker_removes_when_it_stops_is_refused() -> None:
    found = Scene({"h1": 0}, seen=with_others(a_stranger("old", auto_remove=True)))
    assert problems_of(found.plan({"chat": {"placement": CPU, "replaces": ["h1:old"]}})) == [
        "error cannot-be-kept: container `old` on `h1` cannot be kept: it was started with `--rm`"
    ]


@pytest.mark.parametrize("jobs", range(10))
def test_a_stopped_service_that_takes_over_is_crash_safe_too(jobs: int) -> None:
    here = scene()
    here.apply({"chat": CHAT | {"replaces": []}})
    here.apply({"chat": CHAT | {"replaces": [], "state": "stopped"}})
    here.world.strangers["h1"] = [old()]
    Walk(here.world, here.plan({"chat": CHAT}).steps).run(stop_after=jobs)
    served = [box.id for box in here.world.all_boxes if box.is_verified]
    here.world.bad = lambda box: box.id not in served
    Walk(here.world, here.plan({"chat": CHAT}).steps).run()
    stranger = here.world.strangers["h1"][0]
    assert (stranger.status, stranger.restart) == ("exited", "no") if served else ("running", "always")


def test_a_new_replica_takes_over_before_one_that_was_there() -> None:
    here = scene(h1=2)
    here.apply({"chat": CHAT | {"replaces": [], "port": None}})
    here.world.strangers["h1"] = [old(gpu=1)]
    here.apply({"chat": CHAT | {"replicas": 2, "port": None, "placement": {"gpus": 1, "hosts": ["h1"]}}})
    assert {box.spec.gpus for box in here.world.all_boxes} == {("GPU-h1-0",), ("GPU-h1-1",)}
    assert here.world.strangers["h1"][0].status == "exited"


def test_monitoring_on_the_gpu_is_said_and_stands_in_no_ones_way() -> None:
    here = scene()
    here.apply({"chat": CHAT | {"replaces": []}})
    here.seen = with_others(a_stranger("dcgm", gpus=("all",)))
    found = here.plan({"chat": CHAT | {"replaces": []} | EDIT})
    assert problems_of(found) == [
        "warning gpu-shared: the GPUs of replica `chat-0` on `h1` are also held by container `dcgm`"
    ]
    starts = [s.operation for s in found.steps if isinstance(s.operation, StartContainer)]
    assert [start.beside for start in starts] == [("id-dcgm",)]
    backs = [o for s in found.steps for o in s.on_failure if isinstance(o, StartContainer)]
    assert backs
    assert all(back.returns for back in backs)
