"""Which host a replica gets: strategies, limits, what stays where it is, and what is said where nothing fits."""

from __future__ import annotations

import pytest

from tests.support.plantext import changes_of
from tests.unit.planning.scene import CPU, EDIT, STOPPED, Scene, hint_of, placements_of, refusals_of

RACKS = {"h1": {"labels": {"rack": "r1"}}, "h2": {"labels": {"rack": "r2", "tier": "prod"}}}


def service(replicas: int = 1, **placement: object) -> dict[str, object]:
    return {"replicas": replicas, "placement": {**CPU, **placement}}


def test_spread_takes_the_host_with_the_fewest_replicas_then_the_first_by_name() -> None:
    scene = Scene({"h2": 0, "h1": 0, "h3": 0})
    assert scene.where({"chat": service(4)}) == {"chat-0": "h1", "chat-1": "h2", "chat-2": "h3", "chat-3": "h1"}


def test_spread_counts_its_own_replicas_before_those_of_others() -> None:
    scene = Scene({"h1": 0, "h2": 0})
    scene.apply({"api": service(3, hosts=["h1"]), "chat": service(1, hosts=["h2"])})
    found = scene.where({"api": service(3, hosts=["h1"]), "chat": service(2)})
    assert found["chat-1"] == "h1"


def test_binpack_fills_a_host_before_the_next() -> None:
    scene = Scene({"h1": 2, "h2": 4})
    packed = {"replicas": 3, "placement": {"gpus": 1, "strategy": "binpack"}}
    assert scene.where({"chat": packed}) == {"chat-0": "h1:0", "chat-1": "h1:1", "chat-2": "h2:0"}


def test_spread_prefers_the_host_with_more_free_gpus() -> None:
    assert Scene({"h1": 2, "h2": 4}).where({"chat": {"placement": {"gpus": 1}}}) == {"chat-0": "h2:0"}


def test_a_service_that_likes_gpus_goes_where_one_is_free() -> None:
    scene = Scene({"h1": 0, "h2": 1})
    assert scene.where({"chat": {"replicas": 1, "placement": {"gpus": "auto"}}}) == {"chat-0": "h2:0"}


def test_the_hardest_to_place_go_first() -> None:
    services = {"a": {"placement": {"gpus": 1}}, "b": {"placement": {"gpus": 2}}}
    assert Scene({"h1": 2, "h2": 1}).where(services) == {"a-0": "h2:0", "b-0": "h1:0,1"}


def test_who_names_its_gpus_goes_before_who_counts_them() -> None:
    services = {"a": {"placement": {"gpus": 1}}, "b": {"placement": {"gpus": ["h1:0"]}}}
    assert Scene({"h1": 2}).where(services) == {"a-0": "h1:1", "b-0": "h1:0"}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ({"rack": "r2"}, {"h2"}),
        ({"rack": "r2", "tier": "prod"}, {"h2"}),
        (["h1"], {"h1"}),
        (["all"], {"h1", "h2"}),
        (["all", "h1"], {"h1", "h2"}),
        (None, {"h1", "h2"}),
    ],
)
def test_hosts_are_selected_by_label_name_and_group(hosts: object, expected: set[str]) -> None:
    scene = Scene({"h1": 0, "h2": 0}, RACKS, sections={"groups": {"all": ["h1", "h2"]}})
    assert set(scene.where({"chat": service(2, hosts=hosts)}).values()) == expected


def test_max_per_host_is_a_limit_and_says_so() -> None:
    found = Scene({"h1": 0, "h2": 0}).plan({"chat": service(3, max_per_host=1)})
    assert placements_of(found) == {"chat-0": "h1", "chat-1": "h2"}
    assert refusals_of(found) == [
        "h1  has 1 replicas of `chat` already (`max_per_host`)",
        "h2  has 1 replicas of `chat` already (`max_per_host`)",
    ]
    assert hint_of(found) == ("leave `placement.max_per_host` out (h1 takes it then), or set `replicas` to 2")


def test_a_host_that_is_not_taken_says_why() -> None:
    scene = Scene({"h1": 1, "h2": 2, "h3": 0}, {"h1": {"labels": {"rack": "r1"}}, "h2": {"labels": {"rack": "r1"}}})
    found = scene.plan({"chat": {"placement": {"gpus": 3, "hosts": {"rack": "r1"}}}})
    assert refusals_of(found) == [
        "h1  1 of 1 GPUs free, needs 3; it fits with `placement.gpus` 1",
        "h2  2 of 2 GPUs free, needs 3; it fits with `placement.gpus` 2 or `placement.gpus` 1",
        "h3  is not selected by `placement.hosts`",
    ]
    assert hint_of(found) == "set `placement.gpus` to 2 (h2 takes it then)"


def test_replicas_of_one_service_that_fit_nowhere_share_one_problem() -> None:
    found = Scene({"h1": 1}).plan({"chat": {"replicas": 4, "placement": {"gpus": 1}}})
    (problem,) = [p for p in found.problems if p.severity == "error"]
    assert problem.message == "replicas `chat-1`, `chat-2`, `chat-3` fit on no host"
    assert problem.evidence == ("h1  0 of 1 GPUs free, needs 1 (GPU 0 is held by replica `chat-0`)",)


def test_many_hosts_with_one_reason_share_a_line() -> None:
    scene = Scene({f"h{n:02}": 0 for n in range(40)} | {"big": 1})
    found = scene.plan({"chat": {"placement": {"gpus": 2}}})
    assert refusals_of(found) == [
        "big              1 of 1 GPUs free, needs 2; it fits with `placement.gpus` 1",
        "h00 and 39 more  0 of 0 GPUs free, needs 2",
    ]


# --- what stays --------------------------------------------------------------------------------


def test_what_runs_stays_when_a_better_host_comes() -> None:
    scene = Scene({"h1": 1})
    scene.apply({"chat": {"placement": {"gpus": 1}}})
    scene.gpus["h0"] = 8
    scene.world.__post_init__()
    assert scene.where({"chat": {"placement": {"gpus": 1}}}) == {"chat-0": "h1:0"}


def test_an_edit_keeps_host_gpu_and_fixed_port() -> None:
    scene = Scene({"h1": 2, "h2": 2})
    wish = {"replicas": 3, "placement": {"gpus": 1}, "port": {"number": 8001, "on_conflict": "next"}}
    before = scene.apply({"chat": wish})
    after = scene.plan({"chat": wish | EDIT})
    assert placements_of(after) == placements_of(before)
    assert [p.members for p in after.placements] == [p.members for p in before.placements]


def test_a_service_that_grows_takes_no_gpu_from_one_that_stays() -> None:
    scene = Scene({"h1": 3})
    scene.apply({"api": {"placement": {"gpus": 1}}, "chat": {"placement": {"gpus": 1}}})
    found = scene.plan({"api": {"placement": {"gpus": 2}}, "chat": {"placement": {"gpus": 1}}})
    assert placements_of(found) == {"api-0": "h1:0,2", "chat-0": "h1:1"}
    assert changes_of(found)[1] == "chat-0 keep h1 (none)"


def test_a_service_that_wants_a_port_does_not_take_it_from_one_that_stays() -> None:
    scene = Scene({"h1": 0})
    scene.apply({"api": service() | {"port": 8001}, "chat": service()})
    found = scene.plan({"api": service(), "chat": service()})
    assert changes_of(found) == ["api-0 replace h1 (change): spec-changed", "chat-0 keep h1 (none)"]


def test_who_leaves_a_deselected_host_moves_by_a_change() -> None:
    scene = Scene({"h1": 0, "h2": 0}, RACKS)
    scene.apply({"chat": service(hosts={"rack": "r1"})})
    scene.hosts = {"h1": {"labels": {"rack": "r9"}}, "h2": {"labels": {"rack": "r1"}}}
    found = scene.plan({"chat": service(hosts={"rack": "r1"})})
    assert changes_of(found) == ["chat-0 move h1->h2 (change): spec-changed, host-changed"]
    assert [r.message for r in found.changes[0].reasons] == [
        "host `h1` is not selected any more",
        "moves from `h1` to `h2`",
    ]


def test_a_replica_whose_gpu_was_taken_while_it_was_down_stays_on_its_host_if_it_can() -> None:
    scene = Scene({"h1": 2, "h2": 4})
    scene.apply({"chat": {"placement": {"gpus": 1, "hosts": ["h1"]}}})
    scene.box("chat-0").status = "exited"
    scene.world.foreign_gpus = {"h1": {0}}
    found = scene.plan({"chat": {"placement": {"gpus": 1, "hosts": ["h1", "h2"]}}})
    assert placements_of(found) == {"chat-0": "h1:1"}


def test_a_stopped_service_needs_no_room_and_gives_its_gpu_away() -> None:
    scene = Scene({"h1": 1})
    scene.apply({"chat": {"placement": {"gpus": 1}}})
    found = scene.plan({"api": {"placement": {"gpus": 1}}, "chat": {"placement": {"gpus": 1}} | STOPPED})
    assert not found.has_errors
    assert changes_of(found) == ["api-0 create h1 (change): new", "chat-0 stop h1 (change): state-stopped"]


def test_a_service_that_was_never_started_may_be_stopped() -> None:
    found = Scene({"h1": 0}).plan({"chat": {"placement": {"gpus": 4}} | STOPPED})
    assert (found.changes, found.steps, found.has_errors) == ((), (), False)
