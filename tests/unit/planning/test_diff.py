"""What changes and why: an edit, something that happened to a host, or only a newer default."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from deployer.planning.claims import HOLDING
from deployer.values.canonical import canonical_json, revision_of
from deployer.values.codec import to_data
from deployer.values.facts import HostFacts, PathFact
from deployer.values.operations import UpdateContainer
from deployer.values.plan import FieldDiff, Plan
from deployer.values.resolved import Resolved
from tests.support.planning import MODEL
from tests.support.plantext import changes_of, steps_of
from tests.support.walk import Walk
from tests.support.world import Box
from tests.unit.planning.scene import CPU, EDIT, STOPPED, Scene

CHAT: dict[str, Any] = {"placement": CPU}
WITH_SECRET = CHAT | {"env": {"KEY": {"secret": "key"}}}


@pytest.fixture
def scene() -> Scene:
    """`chat` runs on `h1`."""
    made = Scene({"h1": 0})
    made.apply({"chat": CHAT})
    return made


def reasons(found: Plan) -> list[str]:
    return [reason.message for change in found.changes for reason in change.reasons]


def relabel(box: Box, **labels: str) -> None:
    box.labels.update({f"deployer.{name}": value for name, value in labels.items()})


def made_otherwise(box: Box, **fields: Any) -> None:
    """As if an older deployer had made the container, with other defaults."""
    spec = replace(box.spec, **fields)
    data = to_data(spec)
    old, box.spec = box.name, spec
    box.name = f"{box.name[:-12]}{revision_of(data)}"
    relabel(box, spec=canonical_json(data), revision=revision_of(data))
    assert box.name != old


def move_box(scene: Scene) -> None:
    """Boxes under the names they have by now."""
    for host, boxes in scene.world.boxes.items():
        scene.world.boxes[host] = {box.name: box for box in boxes.values()}


# --- nothing -----------------------------------------------------------------------------------


def test_nothing_to_do(scene: Scene) -> None:
    found = scene.plan({"chat": CHAT})
    assert changes_of(found) == ["chat-0 keep h1 (none)"]
    assert (found.steps, found.pending, found.summary()["keep"]) == ((), (), 1)


@pytest.mark.parametrize(
    "edit", [{"rollout": {"max_unavailable": 2}}, {"protect": True}, {"health": {"probe": "none"}}]
)
def test_what_makes_no_other_container_changes_nothing(scene: Scene, edit: dict[str, Any]) -> None:
    assert scene.plan({"chat": CHAT | edit}).is_empty


# --- edits -------------------------------------------------------------------------------------


def test_new() -> None:
    found = Scene({"h1": 0}).plan({"chat": CHAT})
    assert changes_of(found) == ["chat-0 create h1 (change): new"]
    assert reasons(found) == ["is not there yet"]


def test_an_edit_replaces_and_shows_what_differs(scene: Scene) -> None:
    found = scene.plan({"chat": CHAT | EDIT})
    assert changes_of(found) == ["chat-0 replace h1 (change): spec-changed"]
    assert FieldDiff("command.-c", None, "4096") in found.changes[0].diff


def test_an_edited_host_replaces_what_is_made_of_it(scene: Scene) -> None:
    wish = CHAT | {"env": {"NIC": "${host.vars.nic}"}}
    scene.hosts = {"h1": {"vars": {"nic": "ib0"}}}
    scene.apply({"chat": wish})
    scene.hosts = {"h1": {"vars": {"nic": "ib1"}}}
    found = scene.plan({"chat": wish})
    assert changes_of(found) == ["chat-0 replace h1 (change): spec-changed"]
    assert reasons(found) == ["host `h1` was edited"]
    assert found.changes[0].diff[0] == FieldDiff("env.NIC", "ib0", "ib1")


def test_an_edited_host_that_changes_no_container_changes_nothing(scene: Scene) -> None:
    scene.hosts = {"h1": {"labels": {"rack": "r7"}}}
    assert scene.plan({"chat": CHAT}).is_empty


def test_a_service_that_is_gone_is_removed(scene: Scene) -> None:
    found = scene.plan({"docs": CHAT | {"replicas": 0}})
    assert changes_of(found) == ["chat-0 remove h1 (change): not-in-spec"]
    assert steps_of(found) == ["h1/chat-0/remove"]


def test_fewer_replicas(scene: Scene) -> None:
    scene.apply({"chat": CHAT | {"replicas": 3}})
    assert changes_of(scene.plan({"chat": CHAT})) == [
        "chat-0 keep h1 (none)",
        "chat-1 remove h1 (change): not-in-spec",
        "chat-2 remove h1 (change): not-in-spec",
    ]


def test_a_protected_service_says_so_when_it_goes() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT | {"protect": True}})
    found = scene.plan({})
    assert changes_of(found) == ["chat-0 remove h1 (change): not-in-spec, protected"]
    assert reasons(found)[1] == "its service is protected"


def test_a_move_says_from_where() -> None:
    scene = Scene({"h1": 0, "h2": 0})
    scene.apply({"chat": {"placement": {**CPU, "hosts": ["h1"]}}})
    found = scene.plan({"chat": {"placement": {**CPU, "hosts": ["h2"]}}})
    assert changes_of(found) == ["chat-0 move h1->h2 (change): spec-changed, spec-changed, host-changed"]
    assert reasons(found) == ["the spec was edited", "host `h1` is not selected any more", "moves from `h1` to `h2`"]


def test_back_to_a_revision_that_was_kept(scene: Scene) -> None:
    scene.apply({"chat": CHAT | EDIT})
    found = scene.plan({"chat": CHAT})
    assert changes_of(found) == ["chat-0 replace h1 (change): revision-changed"]
    assert reasons(found) == ["goes back to this revision"]
    Walk(scene.world, found.steps).run()
    assert scene.plan({"chat": CHAT}).is_empty


# --- stopped -----------------------------------------------------------------------------------


def test_stopped_and_started_again(scene: Scene) -> None:
    assert changes_of(scene.apply({"chat": CHAT | STOPPED})) == ["chat-0 stop h1 (change): state-stopped"]
    assert (scene.box("chat-0").status, scene.box("chat-0").restart) == ("exited", "no")
    assert changes_of(scene.plan({"chat": CHAT | STOPPED})) == ["chat-0 keep h1 (none): stopped"]
    found = scene.plan({"chat": CHAT})
    assert changes_of(found) == ["chat-0 start h1 (change): stopped"]
    assert [step.split("/")[2].partition(" ")[0] for step in steps_of(found)] == ["start", "await", "probe", "commit"]


def test_an_edit_while_it_is_stopped_waits_for_the_start(scene: Scene) -> None:
    scene.apply({"chat": CHAT | STOPPED})
    assert scene.plan({"chat": CHAT | STOPPED | EDIT}).is_empty
    assert changes_of(scene.plan({"chat": CHAT | EDIT})) == ["chat-0 replace h1 (change): spec-changed, stopped"]


def test_a_stopped_service_keeps_one_more_container_than_it_keeps_revisions(scene: Scene) -> None:
    scene.apply({"chat": CHAT | EDIT})
    scene.apply({"chat": CHAT | EDIT | STOPPED})
    assert len(scene.world.all_boxes) == 2
    found = scene.plan({"chat": CHAT | EDIT | STOPPED | {"rollout": {"keep_revisions": 0}}})
    assert changes_of(found) == ["chat-0 update h1 (change): surplus"]
    Walk(scene.world, found.steps).run()
    assert [box.spec.command[-4:-1] for box in scene.world.all_boxes] == [("-c", "4096", "--jinja")]


# --- drift -------------------------------------------------------------------------------------


def test_a_container_that_is_gone_is_made_anew(scene: Scene) -> None:
    scene.world.boxes["h1"].clear()
    assert changes_of(scene.plan({"chat": CHAT})) == ["chat-0 create h1 (change): new"]


@pytest.mark.parametrize(
    ("status", "action", "reason"),
    [
        ("exited", "start", "exited"),
        ("paused", "start", "paused"),
        ("restarting", "start", "restarting"),
        ("dead", "replace", "dead"),
        ("removing", "replace", "removing"),
    ],
)
def test_a_container_that_does_not_run(scene: Scene, status: str, action: str, reason: str) -> None:
    scene.box("chat-0").status = status
    assert changes_of(scene.plan({"chat": CHAT})) == [f"chat-0 {action} h1 (drift): {reason}"]


def test_why_it_exited(scene: Scene) -> None:
    scene.box("chat-0").status = "exited"

    def killed(facts: HostFacts) -> HostFacts:
        containers = tuple(replace(c, exit_code=137, oom_killed=True) for c in facts.containers)
        return replace(facts, containers=containers)

    scene.seen = killed
    assert reasons(scene.plan({"chat": CHAT})) == ["its container exited with code 137, out of memory"]


def test_a_restart_policy_that_was_changed_is_set_back_without_a_restart(scene: Scene) -> None:
    scene.box("chat-0").restart = "on-failure"
    found = scene.plan({"chat": CHAT})
    assert changes_of(found) == ["chat-0 update h1 (drift): restart-policy"]
    assert found.changes[0].diff == (FieldDiff("restart", "on-failure", "always"),)
    assert [s.operation for s in found.steps] == [
        UpdateContainer(scene.box("chat-0").name, scene.box("chat-0").id, "always")
    ]


def test_one_that_has_not_answered_is_asked(scene: Scene) -> None:
    scene.box("chat-0").restart = "no"
    found = scene.plan({"chat": CHAT})
    assert changes_of(found) == ["chat-0 update h1 (drift): unfinished"]
    assert reasons(found) == ["has not answered yet"]


def test_a_predecessor_that_still_runs_is_stopped_in_the_end(scene: Scene) -> None:
    found = scene.plan({"chat": CHAT | EDIT})
    Walk(scene.world, tuple(s for s in found.steps if "/stop" not in s.id and "/retire" not in s.id)).run()
    again = scene.plan({"chat": CHAT | EDIT})
    assert changes_of(again) == ["chat-0 update h1 (drift): unfinished"]
    assert reasons(again) == ["its predecessor still runs"]
    assert [s.id for s in again.steps][-1] == "h1/chat-0/stop"


def test_labels_that_were_tampered_with(scene: Scene) -> None:
    def unread(facts: HostFacts) -> HostFacts:
        broken = [(c, c.recorded) for c in facts.containers if c.recorded is not None]
        return replace(facts, containers=tuple(replace(c, recorded=replace(r, spec=None)) for c, r in broken))

    scene.seen = unread
    found = scene.plan({"chat": CHAT})
    assert changes_of(found) == ["chat-0 replace h1 (drift): label-changed"]
    assert steps_of(found)[0].startswith("h1/chat-0/rename")


def test_more_former_containers_than_are_kept(scene: Scene) -> None:
    scene.apply({"chat": CHAT | EDIT})
    found = scene.plan({"chat": CHAT | EDIT | {"rollout": {"keep_revisions": 0}}})
    assert changes_of(found) == ["chat-0 update h1 (change): surplus"]
    assert [s.id for s in found.steps] == ["h1/chat-0/retire"]


def test_a_predecessor_that_docker_would_start_again_is_told_not_to(scene: Scene) -> None:
    """What a Docker that was killed may leave behind."""
    scene.apply({"chat": CHAT | EDIT})
    (former,) = (box for box in scene.world.all_boxes if box.status == "exited")
    former.restart = "always"
    found = scene.plan({"chat": CHAT | EDIT})
    assert changes_of(found) == ["chat-0 update h1 (drift): predecessor-restarts"]
    assert [s.id for s in found.steps] == ["h1/chat-0/disarm"]
    scene.apply({"chat": CHAT | EDIT})
    assert former.restart == "no"
    assert scene.plan({"chat": CHAT | EDIT}).is_empty


@pytest.mark.parametrize("wish", [EDIT, STOPPED], ids=["edited", "stopped"])
def test_what_somebody_stopped_by_hand_does_not_come_back_by_itself(scene: Scene, wish: dict[str, Any]) -> None:
    """Once something else is wanted than that it runs."""
    by_hand = scene.box("chat-0")
    by_hand.status = "exited"
    scene.apply({"chat": CHAT | wish})
    assert (by_hand.status, by_hand.restart) == ("exited", "no")
    assert scene.plan({"chat": CHAT | wish}).is_empty


def test_other_files_of_the_model(scene: Scene) -> None:
    def look(*names: str) -> Any:
        return lambda facts: replace(facts, paths={MODEL: PathFact(MODEL, "directory", entries=names)})

    scene.seen = look("a.gguf")
    scene.apply({"chat": CHAT})
    scene.seen = look("b.gguf")
    assert changes_of(scene.plan({"chat": CHAT})) == ["chat-0 replace h1 (drift): model-changed"]


def test_a_predecessors_name_is_given_back(scene: Scene) -> None:
    """An apply was killed while a secret was rotated, and then the secret was set back."""
    wish = {"chat": WITH_SECRET | {"port": 8001}}
    scene.apply(wish)
    scene.secret = "two"
    found = scene.plan(wish)
    Walk(scene.world, tuple(s for s in found.steps if s.id.endswith("/rename"))).run()
    (moved,) = [box for box in scene.world.all_boxes if box.status == "running"]
    assert moved.name.endswith(".old")
    scene.secret = "one"
    again = scene.plan(wish)
    assert changes_of(again) == ["chat-0 update h1 (drift): unfinished, name-changed"]
    Walk(scene.world, again.steps).run()
    assert not moved.name.endswith(".old")
    assert scene.plan(wish).is_empty


# --- secrets -----------------------------------------------------------------------------------


def test_a_rotated_secret_is_a_change() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": WITH_SECRET})
    assert scene.plan({"chat": WITH_SECRET}).is_empty
    scene.secret = "two"
    found = scene.plan({"chat": WITH_SECRET})
    assert changes_of(found) == ["chat-0 replace h1 (change): secret-rotated"]
    assert reasons(found) == ["secret `key` has another value"]


def test_a_secret_that_is_not_at_hand_is_not_checked() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": WITH_SECRET})
    scene.secret = None
    assert scene.plan({"chat": WITH_SECRET}).is_empty
    assert Resolved().secrets == {}


# --- defaults ----------------------------------------------------------------------------------


def test_a_newer_default_waits_for_the_next_change(scene: Scene) -> None:
    made_otherwise(scene.box("chat-0"), stop_grace=12.0)
    move_box(scene)
    found = scene.plan({"chat": CHAT})
    assert changes_of(found) == ["chat-0 replace h1 (default): default-changed"]
    assert reasons(found) == ["only defaults differ (stop_grace)"]
    assert (found.steps, found.pending, found.summary()["keep"]) == ((), (), 1)
    scaled = scene.plan({"chat": CHAT | {"replicas": 2, "rollout": {"max_unavailable": 2}}})
    assert changes_of(scaled)[0] == "chat-0 replace h1 (default): default-changed"
    edited = scene.plan({"chat": CHAT | EDIT})
    assert changes_of(edited) == ["chat-0 replace h1 (change): spec-changed"]


@pytest.mark.parametrize("status", [s for s in ("exited", "paused", "restarting") if s != "running"])
def test_a_newer_default_hides_no_drift(scene: Scene, status: str) -> None:
    made_otherwise(scene.box("chat-0"), stop_grace=12.0)
    move_box(scene)
    scene.box("chat-0").status = status
    assert changes_of(scene.plan({"chat": CHAT})) == [f"chat-0 replace h1 (drift): {status}"]
    assert "exited" not in HOLDING


def test_a_newer_default_hides_no_container_that_has_not_answered(scene: Scene) -> None:
    made_otherwise(scene.box("chat-0"), stop_grace=12.0)
    move_box(scene)
    scene.box("chat-0").restart = "no"
    assert changes_of(scene.plan({"chat": CHAT})) == ["chat-0 replace h1 (drift): unfinished"]


def test_an_image_that_was_decided_stays(scene: Scene) -> None:
    """The default image moved with deployer: what runs keeps its own."""
    box = scene.box("chat-0")
    made_otherwise(box, image="ghcr.io/ggml-org/llama.cpp:older")
    decisions = json.loads(box.labels["deployer.decisions"]) | {"image": "ghcr.io/ggml-org/llama.cpp:older"}
    relabel(box, decisions=json.dumps(decisions))
    move_box(scene)
    assert scene.plan({"chat": CHAT}).is_empty
    found = scene.plan({"chat": CHAT | EDIT})
    assert [d.path for d in found.changes[0].diff] == ["command.-c", "ports.8080/tcp.host"]
