"""Going back to former containers: which, how, what is against it, and the hold that it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deployer.errors import RefusedError
from deployer.planning.decisions import Written
from deployer.planning.former import Back, choose_former
from deployer.planning.holds import holds_left, refuse_held
from deployer.planning.hosts import HostIndex
from deployer.planning.kept import needs_of_kept
from deployer.planning.planner import plan, plan_rollback
from deployer.planning.selection import Selection, selection_of
from deployer.values.canonical import canonical_json, digest_of
from deployer.values.codec import to_data
from deployer.values.facts import HostFacts, ObservedContainer
from deployer.values.gpu_facts import GpuFacts
from deployer.values.names import ReplicaKey
from deployer.values.operations import CreateContainer
from deployer.values.plan import Plan
from deployer.values.records import Hold, ProjectRecord
from deployer.values.resolved import Resolved
from tests.support.plantext import changes_of, problems_of, steps_of
from tests.support.walk import Walk
from tests.support.world import Box
from tests.unit.planning.scene import CPU, EDIT, Scene, a_stranger, with_others

GPU: dict[str, Any] = {"placement": {"gpus": 1}}
CHAT: dict[str, Any] = {"placement": CPU}
KEYED: dict[str, Any] = {"placement": CPU, "env": {"KEY": {"secret": "key"}}}
LATER = "20270101T000000Z00000000"


def chosen(scene: Scene, services: dict[str, Any], apply: str | None = None, *target: str) -> Back:
    project = scene.project(services)
    return choose_former(project, scene.observed(project), selection_of(project.spec, (), target), apply)


def back(scene: Scene, services: dict[str, Any], apply: str | None = None, *target: str) -> Plan:
    return again(scene, services, chosen(scene, services, apply, *target))


def again(scene: Scene, services: dict[str, Any], where: Back) -> Plan:
    project = scene.project(services)
    resolved = Resolved({"key": f"scrypt:{scene.secret}"})
    return plan_rollback(project, scene.observed(project), resolved, where)


def carry_out(scene: Scene, found: Plan) -> None:
    assert not found.has_errors, problems_of(found)
    Walk(scene.world, found.steps).run()


def apply_of(scene: Scene, box: Box) -> str:
    return box.apply_id


def revisions(scene: Scene, status: str = "running") -> dict[str, str]:
    return {str(b.key): b.name.rpartition("_")[2] for b in scene.world.all_boxes if b.status == status}


@pytest.fixture
def edited() -> Scene:
    scene = Scene({"h1": 1})
    scene.apply({"chat": GPU})
    scene.apply({"chat": GPU | EDIT})
    return scene


def test_the_former_container_itself_comes_back(edited: Scene) -> None:
    """On the GPU that its successor has: stop-first, and a failure brings the successor back."""
    before = revisions(edited, "exited")
    found = back(edited, {"chat": GPU | EDIT})
    assert changes_of(found) == ["chat-0 replace h1 (change): rolled-back"]
    assert steps_of(found, edited.world) == [
        "h1/chat-0/stop | undo: stop chat-0=, bring back chat-0=",
        "h1/chat-0/start <- stop | undo: stop chat-0=, bring back chat-0=",
        "h1/chat-0/await <- start | undo: stop chat-0=, bring back chat-0=",
        "h1/chat-0/probe <- await | undo: stop chat-0=, bring back chat-0=",
        "h1/chat-0/commit <- probe | undo: stop chat-0=, bring back chat-0=",
    ]
    carry_out(edited, found)
    assert revisions(edited) == before


def test_once_it_is_back_nothing_is_left_to_do(edited: Scene) -> None:
    where = chosen(edited, {"chat": GPU | EDIT})
    carry_out(edited, again(edited, {"chat": GPU | EDIT}, where))
    assert again(edited, {"chat": GPU | EDIT}, where).steps == ()


def test_the_diff_and_the_reason_say_what_comes_back(edited: Scene) -> None:
    (change,) = back(edited, {"chat": GPU | EDIT}).changes
    assert [d.path for d in change.diff] == ["command.-c"]
    assert change.reasons[0].message.endswith("of apply 20260101T000001Z00000000")


def test_one_that_does_not_answer_any_more_costs_nothing(edited: Scene) -> None:
    serving = revisions(edited)
    edited.world.bad = lambda box: box.status == "running" and box.name.rpartition("_")[2] not in serving.values()
    Walk(edited.world, back(edited, {"chat": GPU | EDIT}).steps).run()
    assert revisions(edited) == serving


def test_it_does_not_go_to_and_fro(edited: Scene) -> None:
    """A second rollback goes further back, or says that there is nothing more."""
    carry_out(edited, back(edited, {"chat": GPU | EDIT}))
    assert problems_of(back(edited, {"chat": GPU | EDIT})) == [
        "error no-former-revision: no service has a former revision that worked to go back to"
    ]


def test_with_more_revisions_kept_it_goes_further_back() -> None:
    scene = Scene({"h1": 1})
    keep = GPU | {"rollout": {"keep_revisions": 2}}
    seen = []
    for length in (1024, 2048, 4096):
        scene.apply({"chat": keep | {"options": {"context_length": length}}})
        seen.append(revisions(scene)["chat-0"])
    for expected in (seen[1], seen[0]):
        carry_out(scene, back(scene, {"chat": keep | {"options": {"context_length": 4096}}}))
        assert revisions(scene) == {"chat-0": expected}


def test_an_apply_can_be_named() -> None:
    scene = Scene({"h1": 1})
    keep = GPU | {"rollout": {"keep_revisions": 2}}
    applies, seen = [], []
    for length in (1024, 2048, 4096):
        scene.apply({"chat": keep | {"options": {"context_length": length}}})
        (box,) = [box for box in scene.world.all_boxes if box.status == "running"]
        applies.append(box.apply_id)
        seen.append(box.name.rpartition("_")[2])
    carry_out(scene, back(scene, {"chat": keep}, applies[0]))
    assert revisions(scene) == {"chat-0": seen[0]}
    carry_out(scene, back(scene, {"chat": keep}, applies[2]))
    assert revisions(scene) == {"chat-0": seen[2]}


@pytest.mark.parametrize("apply", ["yesterday", "", "20260101T000001Z00000000x", "../../etc"])
def test_what_is_no_apply_is_said(edited: Scene, apply: str) -> None:
    assert [p.code for p in chosen(edited, {"chat": GPU | EDIT}, apply).problems] == ["unknown-apply"]


def test_a_service_goes_back_as_a_whole() -> None:
    scene = Scene({"h1": 1, "h2": 1})
    two = GPU | {"replicas": 2}
    scene.apply({"chat": two})
    before = revisions(scene)
    scene.apply({"chat": two | EDIT})
    found = back(scene, {"chat": two | EDIT})
    assert changes_of(found) == [f"chat-{i} replace h{i + 1} (change): rolled-back" for i in (0, 1)]
    assert [(a.ready_before, a.min_ready, a.downtime) for a in found.rollout] == [(2, 1, False)]
    carry_out(scene, found)
    assert revisions(scene) == before


def test_one_replica_without_a_former_revision_refuses_it_for_all() -> None:
    scene = Scene({"h1": 1, "h2": 1})
    two = GPU | {"replicas": 2}
    scene.apply({"chat": two})
    scene.apply({"chat": two | EDIT})
    (gone,) = [b for b in scene.world.boxes["h2"].values() if b.status == "exited"]
    (now,) = [b for b in scene.world.boxes["h2"].values() if b.status == "running"]
    now.apply, gone.is_noted = 1, False
    found = back(scene, {"chat": two | EDIT}, None, "chat")
    assert [p.code for p in found.problems] == ["no-former-revision"]
    assert found.problems[0].evidence[0].startswith("chat-1: there is only ")


def test_a_replica_that_came_later_is_stopped() -> None:
    scene = Scene({"h1": 2})
    scene.apply({"chat": GPU})
    scene.apply({"chat": GPU | EDIT | {"replicas": 2}})
    found = back(scene, {"chat": GPU | EDIT | {"replicas": 2}})
    assert changes_of(found) == ["chat-0 replace h1 (change): rolled-back", "chat-1 stop h1 (change): not-there-then"]
    carry_out(scene, found)
    assert list(revisions(scene)) == ["chat-0"]


def test_what_never_answered_is_no_revision_that_worked() -> None:
    scene = Scene({"h1": 1})
    keep = GPU | {"rollout": {"on_failure": "stop", "keep_revisions": 3}}
    scene.apply({"chat": keep})
    (first,) = revisions(scene).values()
    scene.world.bad = lambda box: box.apply > 1
    Walk(scene.world, scene.plan({"chat": keep | EDIT}).steps).run()
    carry_out(scene, back(scene, {"chat": keep | EDIT}))
    assert revisions(scene) == {"chat-0": first}


def test_of_several_services_one_must_be_named() -> None:
    scene = Scene({"h1": 0})
    both = {"chat": CHAT, "docs": CHAT}
    scene.apply(both)
    after = {"chat": CHAT | EDIT, "docs": CHAT | EDIT}
    scene.apply(after)
    assert [p.code for p in chosen(scene, after).problems] == ["which-service"]
    assert changes_of(back(scene, after, None, "docs")) == ["docs-0 replace h1 (change): rolled-back"]


def test_what_others_hold_by_now_is_not_taken() -> None:
    scene = Scene({"h1": 2})
    first = {"chat": {"placement": {"gpus": ["h1:0"]}}}
    scene.apply(first)
    after = {"chat": {"placement": {"gpus": ["h1:1"]}}, "docs": {"placement": {"gpus": ["h1:0"]}}}
    scene.apply(after)
    found = back(scene, after, None, "chat")
    assert problems_of(found) == [
        "error rollback-blocked: replica `chat-0` cannot go back: gpu GPU-h1-0 of `h1` is held by replica `docs-0`"
    ]
    assert found.steps != ()  # they are shown, and cannot be applied


def shared(scene: Scene, *services: str) -> Callable[[HostFacts], HostFacts]:
    """As if the containers of these services had said that they take 1 GiB of their GPUs."""

    def change(facts: HostFacts) -> HostFacts:
        ours = [
            replace(c, gpu_share=1 << 30) if c.recorded is not None and c.recorded.key.service in services else c
            for c in facts.containers
        ]
        return replace(facts, containers=tuple(ours))

    return change


@pytest.mark.parametrize(
    ("sharing", "codes"),
    [
        ((), ["rollback-blocked"]),
        (("chat",), ["rollback-blocked"]),
        (("docs",), ["rollback-blocked"]),
        (("chat", "docs"), []),
    ],
)
def test_who_shares_a_gpu_takes_none_that_another_has_alone(sharing: tuple[str, ...], codes: list[str]) -> None:
    scene = Scene({"h1": 2})
    scene.apply({"chat": {"placement": {"gpus": ["h1:0"]}}})
    after = {"chat": {"placement": {"gpus": ["h1:1"]}}, "docs": {"placement": {"gpus": ["h1:0"]}}}
    scene.apply(after)
    scene.seen = shared(scene, *sharing)
    assert [p.code for p in back(scene, after, None, "chat").problems] == codes


def test_strangers_that_share_a_gpu_are_in_the_way_of_who_wants_it_alone() -> None:
    scene = Scene({"h1": 2})
    scene.apply({"chat": {"placement": {"gpus": ["h1:0"]}}})
    after = {"chat": {"placement": {"gpus": ["h1:1"]}}}
    scene.apply(after)
    stranger = a_stranger(gpus=("GPU-h1-0",), gpu_share=1 << 30)
    scene.seen = with_others(stranger)
    assert [p.code for p in back(scene, after).problems] == ["rollback-blocked"]
    scene.seen = lambda facts: with_others(stranger)(shared(scene, "chat")(facts))
    assert not back(scene, after).has_errors


def test_a_rollback_that_died_half_way_is_gone_on_with() -> None:
    """By the hold on the replica's own host: what it was to bring back, whatever runs by then."""
    for after in range(5):
        scene = Scene({"h1": 1})
        services = {"chat": GPU | EDIT}
        scene.apply({"chat": GPU})
        (wanted,) = revisions(scene).values()
        scene.apply(services)
        where = chosen(scene, services)
        Walk(scene.world, again(scene, services, where).steps).run(stop_after=after)
        scene.seen = with_hold(scene, services, where)
        carry_out(scene, back(scene, services))
        assert revisions(scene) == {"chat-0": wanted}


# --- secrets and planted records ---------------------------------------------------------


def test_a_secret_that_stands_lets_the_container_itself_come_back() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": KEYED})
    scene.apply({"chat": KEYED | EDIT})
    assert not [s for s in back(scene, {"chat": KEYED | EDIT}).steps if isinstance(s.operation, CreateContainer)]


def test_a_secret_that_was_rotated_makes_it_anew_from_the_very_image() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": KEYED})
    scene.apply({"chat": KEYED | EDIT})
    scene.secret = "two"
    found = back(scene, {"chat": KEYED | EDIT})
    (create,) = [s.operation for s in found.steps if isinstance(s.operation, CreateContainer)]
    assert create.image_ids == ("sha256:0",)
    assert json.loads(create.labels["deployer.secrets"]) == {"key": "scrypt:two"}
    carry_out(scene, found)
    assert [b.spec.command for b in scene.world.all_boxes if b.status == "running"] == [create.spec.command]


def test_a_secret_that_the_spec_no_longer_gives_is_not_given() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": KEYED})
    scene.apply({"chat": CHAT | EDIT})
    found = back(scene, {"chat": CHAT | EDIT})
    assert [p.code for p in found.problems] == ["secret-not-bound"]
    assert found.steps == ()


def plant(scene: Scene, host: str, service: str, **changed: Any) -> Box:
    """Somebody of that host makes a container that says it is a former one of ours, with labels in good order."""
    (model,) = [b for b in scene.world.boxes[host].values() if b.key.service == service and b.status == "running"]
    spec = replace(model.spec, **changed)
    text = canonical_json(to_data(spec))
    revision = digest_of(text)[:12]
    labels = {**model.labels, "deployer.spec": text, "deployer.revision": revision}
    box = Box(f"planted-{host}", f"lab_{service}_0_{revision}", spec, labels, apply=0, status="exited", started=1)
    box.has_answered = box.is_noted = True
    scene.world.boxes[host][box.name] = box
    return box


def test_a_planted_record_gets_no_other_services_secret() -> None:
    from deployer.values.secrets import SecretRef

    scene = Scene({"h1": 0}, sections={"secrets": {"key": {"env": "KEY"}, "root": {"env": "ROOT"}}})
    services = {"chat": KEYED, "docs": CHAT | {"env": {"ROOT": {"secret": "root"}}}}
    scene.apply(services)
    plant(scene, "h1", "chat", env={"X": SecretRef("root")}, image="evil:1")
    found = back(scene, services, None, "chat")
    assert [p.code for p in found.problems] == ["secret-not-bound"]
    assert found.steps == ()


def test_a_secret_stays_on_the_hosts_that_it_is_for() -> None:
    sections = {"secrets": {"key": {"env": "KEY", "hosts": ["h1", "h2"]}}}
    scene = Scene({"h1": 0, "h2": 0}, sections=sections)
    on_h2 = KEYED | {"placement": {"gpus": "none", "hosts": ["h2"]}}
    scene.apply({"chat": on_h2})
    scene.apply({"chat": on_h2 | EDIT})
    scene.sections = {"secrets": {"key": {"env": "KEY", "hosts": ["h1"]}}}
    assert [p.code for p in back(scene, {"chat": on_h2 | EDIT}).problems] == ["secret-not-for-host"]


def test_a_planted_record_moves_nothing_to_its_host() -> None:
    """It says it is a former container of a replica that runs elsewhere."""
    scene = Scene({"h1": 0, "h2": 0})
    services = {"chat": CHAT | {"placement": {"gpus": "none", "hosts": ["h1"]}}}
    scene.apply(services)
    box = plant(scene, "h1", "chat", privileged=True)
    scene.world.boxes["h2"][box.name] = scene.world.boxes["h1"].pop(box.name)
    found = back(scene, services, None, "chat")
    assert [p.code for p in found.problems] == ["no-former-revision"]
    assert found.steps == ()


def test_a_planted_container_that_runs_takes_no_replica_away() -> None:
    """It says it is the replica that runs on another host, and has a former revision at hand."""
    scene = Scene({"h1": 0, "h2": 0})
    services = {"chat": CHAT | {"placement": {"gpus": "none", "hosts": ["h1"]}}}
    scene.apply(services)
    for image, status, apply in (("evil:1", "exited", 0), ("evil:2", "running", 9)):
        box = plant(scene, "h1", "chat", image=image)
        box.status, box.restart, box.started, box.apply = status, "always", 10**6, apply
        scene.world.boxes["h2"][box.name] = scene.world.boxes["h1"].pop(box.name)
    found = back(scene, services, None, "chat")
    assert [p.code for p in found.problems] == ["several-hosts"]
    assert found.steps == ()


def test_a_replica_goes_back_on_no_host_that_the_spec_does_not_select() -> None:
    scene = Scene({"h1": 0, "h2": 0})
    services = {"chat": CHAT | {"placement": {"gpus": "none", "hosts": ["h2"]}}}
    scene.apply(services)
    scene.apply({"chat": services["chat"] | EDIT})
    elsewhere = {"chat": CHAT | EDIT | {"placement": {"gpus": "none", "hosts": ["h1"]}}}
    assert [p.code for p in back(scene, elsewhere, None, "chat").problems] == ["host-not-selected"]


def test_a_planted_hold_names_no_container_of_another_host() -> None:
    """What a rollback that ended early was about, each host says for itself."""
    scene = Scene({"h1": 1, "h2": 1})
    two = GPU | {"replicas": 2, "rollout": {"keep_revisions": 2}}
    for length in (1024, 2048, 4096):
        scene.apply({"chat": two | {"options": {"context_length": length}}})
    services = {"chat": two | {"options": {"context_length": 4096}}}
    usual = chosen(scene, services)
    oldest = min(scene.world.boxes["h1"].values(), key=lambda box: box.apply)
    planted = Back({key: oldest.name if key.index == 0 else name for key, name in usual.targets.items()})
    hold = with_hold(scene, services, planted)
    scene.seen = lambda facts: hold(facts) if facts.name == "h2" else facts
    assert chosen(scene, services).targets == usual.targets


def test_a_planted_record_is_run_nowhere_but_on_its_own_host() -> None:
    scene = Scene({"h1": 0, "h2": 0})
    services = {"chat": CHAT | {"replicas": 2}}
    scene.apply(services)
    plant(scene, "h1", "chat", privileged=True)
    found = back(scene, services, None, "chat")
    texts = [canonical_json(to_data(step)) for step in found.steps if step.host == "h2"]
    assert all("privileged" not in text and "planted" not in text for text in texts)


def test_a_privileged_one_is_refused_where_the_policy_denies_that() -> None:
    scene = Scene({"h1": 0}, sections={"secrets": {}, "policy": {"deny": ["privileged"]}})
    scene.apply({"chat": CHAT})
    plant(scene, "h1", "chat", privileged=True)
    found = back(scene, {"chat": CHAT}, None, "chat")
    assert [p.code for p in found.problems] == ["privileged"]
    assert found.steps == ()


def test_one_whose_model_is_gone_is_not_begun(edited: Scene) -> None:
    """What serves is not stopped for it."""
    before = edited.seen
    edited.seen = lambda facts: replace(
        before(facts), paths={path: replace(fact, kind="missing") for path, fact in facts.paths.items()}
    )
    found = back(edited, {"chat": GPU | EDIT})
    assert [p.code for p in found.problems] == ["former-incomplete"]
    assert "`/srv/models/m.gguf` is not there" in found.problems[0].message
    assert found.steps == ()


@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        (lambda gpu: replace(gpu, gpus=()), "its GPU GPU-h1-0 is not there"),
        (
            lambda gpu: replace(gpu, gpus=tuple(replace(card, problem="ERR!") for card in gpu.gpus)),
            "its GPU GPU-h1-0 cannot be used: ERR!",
        ),
        (lambda gpu: replace(gpu, gpus=(), problem="no driver"), "no GPU of the host can be used: no driver"),
    ],
)
def test_one_whose_gpu_is_gone_is_not_begun(edited: Scene, gpu: Callable[[GpuFacts], GpuFacts], said: str) -> None:
    edited.seen = lambda facts: replace(facts, gpu=gpu(facts.gpu))
    found = back(edited, {"chat": GPU | EDIT})
    assert [p.code for p in found.problems] == ["former-incomplete"]
    assert found.problems[0].message.endswith(said)
    assert found.steps == ()


@pytest.mark.parametrize(
    "decisions",
    [{"port": "8001"}, {"port": True}, {"port": 0}, {"port": 70000}, {"backend": "no-such"}, {"backend": ["vllm"]}],
)
def test_a_record_that_says_nonsense_is_not_run(decisions: dict[str, Any]) -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT})
    box = plant(scene, "h1", "chat", image="other:1")
    box.labels["deployer.decisions"] = json.dumps(json.loads(box.labels["deployer.decisions"]) | decisions)
    found = back(scene, {"chat": CHAT}, None, "chat")
    assert [p.code for p in found.problems] == ["record-unusable"]
    assert found.steps == ()


@pytest.mark.parametrize("listed", [None, 7, [["x"], 7], [[1]], {"a": "b"}, [["n"] * 1000] * 1000])
def test_what_a_record_says_of_names_is_bounded(listed: Any) -> None:
    scene = Scene({"h1": 0})
    scene.apply({"chat": CHAT})
    box = plant(scene, "h1", "chat", image="other:1")
    box.labels["deployer.decisions"] = json.dumps(json.loads(box.labels["deployer.decisions"]) | {"listed": listed})
    found = back(scene, {"chat": CHAT}, None, "chat")
    assert not found.has_errors
    for step in found.steps:
        if step.operation.op == "probe":
            assert len(step.operation.models) <= 100


# --- holds ---------------------------------------------------------------------------------


def with_hold(scene: Scene, services: dict[str, Any], where: Back, **changed: Any) -> Callable[[HostFacts], HostFacts]:
    project = scene.project(services)
    written = Written(project, HostIndex(project.spec))
    named = {str(key): name for key, name in where.targets.items() if name is not None}
    hold = Hold("chat", written.service("chat"), "ada@desk", "2026-01-02T00:00:00Z", "it was slow", LATER, named)
    record = ProjectRecord("lab", "1", LATER, holds=(replace(hold, **changed),))
    return lambda facts: replace(facts, records=(record,))


@pytest.fixture
def held(edited: Scene) -> Scene:
    services = {"chat": GPU | EDIT}
    where = chosen(edited, services)
    carry_out(edited, again(edited, services, where))
    edited.seen = with_hold(edited, services, where)
    return edited


def test_a_held_service_is_left_as_it_is(held: Scene) -> None:
    found = held.plan({"chat": GPU | EDIT})
    assert changes_of(found) == ["chat-0 keep h1 (none): held, revision-changed"]
    assert problems_of(found) == [
        "warning held: service `chat` is held: ada@desk rolled it back at 2026-01-02T00:00:00Z: it was slow"
    ]
    assert found.steps == ()
    assert not found.has_errors


def test_an_apply_of_it_is_refused_by_name(held: Scene) -> None:
    with pytest.raises(RefusedError) as caught:
        refuse_held(held.plan({"chat": GPU | EDIT}).holds, held.project({"chat": GPU | EDIT}))
    assert caught.value.exit_code == 3
    assert "ada@desk" in caught.value.diagnostics[0].message
    assert str(caught.value.diagnostics[0].where) == str(held.project({"chat": GPU | EDIT}).where("services", "chat"))


def test_an_edit_ends_the_hold(held: Scene) -> None:
    found = held.plan({"chat": GPU | {"options": {"context_length": 2048}}})
    assert found.holds == ()
    assert [c.action for c in found.pending] == ["replace"]


def test_more_replicas_do_not_end_it(held: Scene) -> None:
    assert held.plan({"chat": GPU | EDIT | {"replicas": 3}}).holds != ()


def test_other_services_of_the_project_can_still_be_applied(held: Scene) -> None:
    services = {"chat": GPU | EDIT, "docs": CHAT}
    project = held.project(services)
    observed = held.observed(project)
    assert plan(project, observed, Resolved()).holds != ()
    chosen_only = plan(project, observed, Resolved(), Selection(services=frozenset({"docs"})))
    assert chosen_only.holds == ()
    assert [str(c.key) for c in chosen_only.pending] == ["docs-0"]


def test_resuming_moves_it_on(held: Scene) -> None:
    project = held.project({"chat": GPU | EDIT})
    found = plan(project, held.observed(project), Resolved({"key": "scrypt:one"}), resume=True)
    assert (found.holds, [c.action for c in found.pending]) == ((), ["replace"])
    Walk(held.world, found.steps).run()
    assert held.plan({"chat": GPU | EDIT}).steps == ()


EDITED = {"chat": GPU | {"options": {"context_length": 2048}}, "docs": CHAT}
SAME = {"chat": GPU | EDIT, "docs": CHAT}
ONE_HOST, OTHERS = Selection(hosts=frozenset({"h1"})), Selection(services=frozenset({"docs"}))
REPAIR = Selection(replicas=frozenset({ReplicaKey("chat", 0)}))


@pytest.mark.parametrize(
    ("services", "selection", "resume", "left"),
    [
        (SAME, Selection(), False, ["chat"]),
        (EDITED, Selection(), False, []),
        (SAME, Selection(), True, []),
        (SAME, Selection(services=frozenset({"chat"})), True, []),
        ({"docs": CHAT}, Selection(), False, []),
        *((services, OTHERS, resume, ["chat"]) for services in (SAME, EDITED, {"docs": CHAT}) for resume in (0, 1)),
        *((EDITED, part, resume, ["chat"]) for part in (ONE_HOST, REPAIR) for resume in (False, True)),
    ],
)
def test_a_hold_ends_where_an_apply_could_move_the_whole_service(
    held: Scene, services: dict[str, Any], selection: Selection, resume: bool, left: list[str]
) -> None:
    project = held.project(services)
    written = Written(project, HostIndex(project.spec))
    standing = holds_left(project, held.observed(project).reachable, written, selection, resume=resume)
    assert [hold.service for hold in standing] == left


@pytest.mark.parametrize(("apply", "goes_to"), [("20260101T000002Z00000001", 1), (LATER, 0)])
def test_a_hold_that_an_apply_of_some_hosts_left_chooses_nothing(apply: str, goes_to: int) -> None:
    """The replica here was moved on since, twice; a hold of a later rollback counts."""
    scene = Scene({"h1": 1})
    keep = GPU | {"rollout": {"keep_revisions": 2}}
    names = []
    for length in (1024, 2048, 4096):
        services = {"chat": keep | {"options": {"context_length": length}}}
        scene.apply(services)
        names += [box.name for box in scene.world.all_boxes if box.status == "running"]
    scene.seen = with_hold(scene, services, Back({ReplicaKey("chat", 0): names[0]}), apply=apply)
    assert chosen(scene, services).targets == {ReplicaKey("chat", 0): names[goes_to]}


def test_a_hold_of_another_project_or_of_no_service_is_none(edited: Scene) -> None:
    where = chosen(edited, {"chat": GPU | EDIT})
    edited.seen = with_hold(edited, {"chat": GPU | EDIT}, where, service="other")
    assert edited.plan({"chat": GPU | EDIT}).holds == ()


# --- what is kept ----------------------------------------------------------------------------


def test_what_kept_revisions_need_is_named(edited: Scene) -> None:
    project = edited.project({"chat": GPU | EDIT})
    (facts,) = edited.observed(project).reachable.values()
    needs = needs_of_kept(facts)
    assert needs.images == {"sha256:0"}
    assert "/srv/models/m.gguf" in needs.paths


def test_strangers_need_nothing_of_it(edited: Scene) -> None:
    project = edited.project({"chat": GPU | EDIT})
    (facts,) = edited.observed(project).reachable.values()
    stranger = ObservedContainer("x" * 64, "other", "i", "sha256:9", "running")
    assert needs_of_kept(replace(facts, containers=(*facts.containers, stranger))) == needs_of_kept(facts)
