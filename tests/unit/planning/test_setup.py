"""What a backend must be told once it answers: in the plan, kept by it, and put right where it went missing."""

from __future__ import annotations

from typing import Any

from deployer.values.operations import EnsureSetup
from deployer.values.plan import Plan
from tests.support.plantext import changes_of
from tests.support.walk import Walk
from tests.unit.planning.scene import CPU, Scene

CHAT: dict[str, Any] = {"backend": "ollama", "placement": CPU, "options": {"context_length": 4096}}
EDITED = CHAT | {"options": {"context_length": 8192}}
SETUP = ["setup", "setup"]  # the model with its options, and its name


def verbs(found: Plan) -> list[str]:
    return [step.id.split("/")[2] for step in found.steps if step.key is not None]


def serving() -> Scene:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT})
    return scene


def test_it_comes_between_readiness_and_the_first_request() -> None:
    found = Scene({"h1": 0}).plan({"chat": CHAT})
    assert verbs(found) == ["create", "start", "await", *SETUP, "probe", "commit"]
    assert found.steps[-3].on_failure == found.steps[-1].on_failure


def test_what_is_set_up_needs_nothing() -> None:
    scene = serving()
    found = scene.plan({"chat": CHAT})
    assert found.is_empty
    assert [question.container for question in found.questions] == [scene.box("chat-0").id] * len(SETUP)


def test_an_edit_that_needs_no_other_container_updates_it() -> None:
    scene = serving()
    before = scene.box("chat-0").id
    found = scene.plan({"chat": EDITED})
    assert changes_of(found) == ["chat-0 update h1 (change): setup-missing, setup-missing"]
    assert verbs(found) == [*SETUP, "probe"]
    Walk(scene.world, found.steps).run()
    assert scene.box("chat-0").id == before
    assert scene.plan({"chat": EDITED}).is_empty


def test_what_somebody_removed_is_drift() -> None:
    scene = serving()
    scene.box("chat-0").setup.clear()
    assert changes_of(scene.plan({"chat": CHAT})) == ["chat-0 update h1 (drift): setup-missing, setup-missing"]


def test_each_served_name_is_a_task_of_its_own() -> None:
    scene = serving()
    found = scene.plan({"chat": CHAT | {"served_name": ["m", "default"]}})
    assert [s.operation.task.name for s in found.steps if isinstance(s.operation, EnsureSetup)] == ["name `default`"]


def test_without_an_answer_nothing_is_said_to_be_missing() -> None:
    scene = serving()
    scene.box("chat-0").setup.clear()
    scene.said = dict  # type: ignore[method-assign]
    assert scene.plan({"chat": CHAT}).is_empty


def test_a_container_that_stopped_is_set_up_when_it_starts() -> None:
    scene = serving()
    scene.box("chat-0").status = "exited"
    found = scene.plan({"chat": CHAT})
    assert verbs(found) == ["start", "await", *SETUP, "probe", "commit"]
    assert found.questions == ()
