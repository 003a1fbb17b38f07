"""Which GPUs a replica gets: counts, pools, lists, filters, and those that others hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deployer.values.facts import HostFacts
from deployer.values.gpu_facts import Gpu, GpuFacts, GpuProcess
from deployer.values.plan import Plan
from tests.support.plantext import changes_of
from tests.unit.planning.scene import (
    EDIT,
    Scene,
    a_stranger,
    hint_of,
    placements_of,
    refusals_of,
    with_others,
)

MIXED = (
    Gpu(0, "GPU-h1-0", "NVIDIA A100-SXM4-80GB", 80 << 30, compute_capability="8.0"),
    Gpu(1, "GPU-h1-1", "NVIDIA H100 80GB HBM3", 80 << 30, compute_capability="9.0"),
    Gpu(2, "GPU-h1-2", "NVIDIA L4", 24 << 30, compute_capability="8.9"),
)


def cards(*gpus: Gpu, **facts: Any) -> Callable[[HostFacts], HostFacts]:
    return lambda host: replace(host, gpu=GpuFacts(gpus=gpus, **facts)) if host.name == "h1" else host


def wants(gpus: object = 1, **placement: object) -> dict[str, dict[str, Any]]:
    return {"chat": {"placement": {"gpus": gpus, **placement}}}


# --- how many ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "options", "expected"),
    [
        ("none", {}, "h1"),
        (0, {}, "h1"),
        ("auto", {}, "h1:0"),
        (2, {}, "h1:0,1"),
        ("auto", {"tensor_parallel": 3}, "h1:0,1,2"),
    ],
)
def test_how_many(asked: object, options: dict[str, object], expected: str) -> None:
    scene = Scene({"h1": 4})
    assert scene.where({"chat": {"placement": {"gpus": asked}, "options": options}}) == {"chat-0": expected}


def test_auto_takes_none_where_there_is_none() -> None:
    assert Scene({"h1": 0}).where(wants("auto")) == {"chat-0": "h1"}


def test_auto_does_not_fall_back_to_the_processor_because_gpus_are_busy() -> None:
    scene = Scene({"h1": 1}, seen=with_others(a_stranger("dcgm", gpus=("all",))))
    assert refusals_of(scene.plan(wants("auto"))) == ["h1  0 of 1 GPUs free, needs 1 (GPU 0 is held by container dcgm)"]


def test_auto_on_the_processor_stays_there_when_gpus_come_until_its_wishes_change() -> None:
    scene = Scene({"h1": 0})
    scene.apply(wants("auto"))
    scene.world.gpus["h1"] = 1
    assert scene.plan(wants("auto")).is_empty
    assert scene.where({"chat": wants("auto")["chat"] | EDIT}) == {"chat-0": "h1"}
    assert scene.where(wants(1)) == {"chat-0": "h1:0"}


# --- pools and lists ---------------------------------------------------------------------------


def test_a_pool_is_shared_by_all_replicas() -> None:
    scene = Scene({"h1": 4, "h2": 4})
    found = scene.plan({"chat": {"replicas": 3, "placement": {"gpus": ["h1:3", "h2:GPU-h2-1"]}}})
    assert placements_of(found) == {"chat-0": "h1:3", "chat-1": "h2:1"}
    assert refusals_of(found) == [
        "h1  0 of 1 GPUs free, needs 1 (GPU 3 is held by replica `chat-0`)",
        "h2  0 of 1 GPUs free, needs 1 (GPU 1 is held by replica `chat-1`)",
    ]


def test_each_replica_has_a_list_of_its_own_of_any_length() -> None:
    scene = Scene({"h1": 4, "h2": 4})
    wish = {"replicas": 3, "placement": {"gpus": [["h1:3"], ["h2:0", "h2:2"], ["h1:GPU-h1-0", "h1:1"]]}}
    assert scene.where({"chat": wish}) == {"chat-0": "h1:3", "chat-1": "h2:0,2", "chat-2": "h1:0,1"}


def test_a_replica_without_a_list_says_so() -> None:
    found = Scene({"h1": 4}).plan({"chat": {"replicas": 2, "placement": {"gpus": [["h1:0"]]}}})
    assert refusals_of(found) == ["h1  `placement.gpus` has no list for replica 1"]


def test_a_gpu_that_is_not_there_and_a_host_that_is_not_named() -> None:
    assert refusals_of(Scene({"h1": 2, "h2": 2}).plan(wants(["h1:7"]))) == [
        "h1  has no GPU 7; it has 2",
        "h2  is not named in `placement.gpus`",
    ]


def test_an_index_becomes_a_uuid() -> None:
    found = Scene({"h1": 2}).plan(wants(["h1:1"]))
    assert found.placements[0].members[0].gpus == ("GPU-h1-1",)


# --- which are good enough ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"model": "h100"}, "h1:1"),
        ({"model": "L4"}, "h1:2"),
        ({"memory": ">=40GiB"}, "h1:0"),
        ({"memory": "24g"}, "h1:0"),
        ({"cc": ">=8.9"}, "h1:1"),
        ({"cc": "8.9"}, "h1:2"),
        ({"cc": ">=8.0", "model": "H100"}, "h1:1"),
    ],
)
def test_filters(wanted: dict[str, str], expected: str) -> None:
    assert Scene({"h1": 0}, seen=cards(*MIXED)).where(wants(gpu=wanted)) == {"chat-0": expected}


def test_each_gpu_that_is_not_good_enough_says_why() -> None:
    scene = Scene({"h1": 0}, seen=cards(*MIXED, Gpu(3, "GPU-h1-3", "NVIDIA H100")))
    assert refusals_of(scene.plan(wants(2, gpu={"model": "H100", "memory": ">=80g", "cc": ">=9.0"}))) == [
        "h1  1 of 4 GPUs free, needs 2 (GPU 0 is a NVIDIA A100-SXM4-80GB, not a `H100`; "
        "GPU 2 is a NVIDIA L4, not a `H100`; GPU 3 has less than `>=80g` of memory); it fits with `placement.gpus` 1"
    ]
    old = Scene({"h1": 0}, seen=cards(Gpu(0, "GPU-h1-0", "NVIDIA H100")))
    assert refusals_of(old.plan(wants(gpu={"cc": ">=9.0"}))) == [
        "h1  0 of 1 GPUs free, needs 1 (GPU 0 has compute capability unknown, not `>=9.0`)"
    ]


def test_gpus_with_a_problem_or_in_mig_mode_are_out_of_the_question() -> None:
    broken = Gpu(0, "GPU-h1-0", "NVIDIA H100", problem="fell off the bus")
    sliced = Gpu(1, "GPU-h1-1", "NVIDIA H100", mig_mode=True)
    assert refusals_of(Scene({"h1": 0}, seen=cards(broken, sliced)).plan(wants())) == [
        "h1  0 of 2 GPUs free, needs 1 (GPU 0 fell off the bus; GPU 1 is in MIG mode)"
    ]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"use": [1]}, "h1:1"),
        ({"use": ["GPU-h1-2"]}, "h1:2"),
        ({"use": ["l4"]}, "h1:2"),
        ({"exclude": [0]}, "h1:1"),
        ({"exclude": ["A100", "GPU-h1-1"]}, "h1:2"),
        ({"use": [0, 2], "exclude": [0]}, "h1:2"),
        ({"use": ["2"]}, "h1:2"),
    ],
)
def test_a_host_says_which_of_its_gpus_deployer_may_use(selection: dict[str, object], expected: str) -> None:
    scene = Scene({"h1": 0}, {"h1": {"gpus": selection}}, seen=cards(*MIXED))
    assert scene.where(wants()) == {"chat-0": expected}


def test_gpus_that_are_not_for_deployer_say_so() -> None:
    scene = Scene({"h1": 1}, {"h1": {"gpus": {"exclude": [0]}}})
    assert refusals_of(scene.plan(wants())) == [
        "h1  0 of 1 GPUs free, needs 1 (GPU 0 is not for deployer (`gpus.use`, `gpus.exclude`))"
    ]


def test_a_replica_leaves_a_gpu_that_is_taken_from_deployer() -> None:
    scene = Scene({"h1": 2})
    scene.apply(wants())
    scene.hosts = {"h1": {"gpus": {"exclude": [0]}}}
    found = scene.plan(wants())
    assert placements_of(found) == {"chat-0": "h1:1"}
    assert changes_of(found) == ["chat-0 replace h1 (change): spec-changed"]


# --- who is in the way -------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [("all",), ("0",), ("GPU-h1-0",)])
def test_gpus_of_others_containers_are_busy(asked: tuple[str, ...]) -> None:
    scene = Scene({"h1": 1}, seen=with_others(a_stranger("train", gpus=asked)))
    found = scene.plan(wants())
    assert refusals_of(found) == ["h1  0 of 1 GPUs free, needs 1 (GPU 0 is held by container train)"]
    assert hint_of(found) == "free a GPU, or add a host, or set `placement.gpus` to none"


def test_a_container_that_does_not_run_holds_nothing() -> None:
    off = replace(a_stranger("train", gpus=("all",)), status="exited")
    assert Scene({"h1": 1}, seen=with_others(off)).where(wants()) == {"chat-0": "h1:0"}


@pytest.mark.parametrize(("memory", "busy"), [(4 << 30, True), (100 << 20, False), (None, False)])
def test_a_process_makes_a_gpu_busy_by_its_memory(memory: int | None, busy: bool) -> None:
    process = GpuProcess("GPU-h1-0", 77, "python", memory)
    scene = Scene({"h1": 1}, seen=cards(Gpu(0, "GPU-h1-0", "NVIDIA H100"), processes=(process,)))
    found = scene.plan(wants())
    assert found.has_errors == busy
    if busy:
        assert refusals_of(found) == ["h1  0 of 1 GPUs free, needs 1 (GPU 0 is held by process python (pid 77))"]


def using(container: str | None) -> Callable[[HostFacts], HostFacts]:
    return cards(
        Gpu(0, "GPU-h1-0", "NVIDIA H100", 80 << 30),
        Gpu(1, "GPU-h1-1", "NVIDIA H100", 80 << 30),
        processes=(GpuProcess("GPU-h1-0", 77, "llama-server", 40 << 30, container),),
    )


def test_our_own_process_is_not_in_our_way_also_where_its_container_is_not_known() -> None:
    scene = Scene({"h1": 2})
    scene.apply(wants())
    for container in (scene.box("chat-0").id, None, "somebody-elses"):
        scene.seen = using(container)
        assert scene.plan(wants()).is_empty, container
        assert scene.where({"chat": wants()["chat"] | EDIT}) == {"chat-0": "h1:1"}, "beside what serves meanwhile"


def test_who_came_onto_the_gpu_of_a_replica_that_is_down_has_it() -> None:
    scene = Scene({"h1": 2})
    scene.apply(wants())
    scene.box("chat-0").status = "exited"
    scene.seen = using("somebody-elses")
    found = scene.plan(wants())
    assert placements_of(found) == {"chat-0": "h1:1"}
    assert changes_of(found) == ["chat-0 replace h1 (drift): gpus-changed, exited"]


def test_a_driver_that_tells_nothing_moves_nothing() -> None:
    scene = Scene({"h1": 1, "h2": 1})
    scene.apply({"chat": {"replicas": 2, "placement": {"gpus": 1}}})
    scene.seen = cards(problem="Driver/library version mismatch")
    assert scene.plan({"chat": {"replicas": 2, "placement": {"gpus": 1}}}).is_empty


def test_a_driver_that_tells_nothing_is_named() -> None:
    scene = Scene({"h1": 1}, seen=cards(problem="Driver/library version mismatch"))
    assert refusals_of(scene.plan(wants())) == ["h1  GPUs cannot be used: Driver/library version mismatch"]


# --- too old -----------------------------------------------------------------------------------

VOLTA = Gpu(0, "GPU-h1-0", "Tesla V100-SXM2-32GB", 32 << 30, compute_capability="7.0")
VLLM = {"backend": "vllm"}


def test_a_gpu_that_the_images_have_no_code_for() -> None:
    scene = Scene({"h1": 1}, seen=cards(VOLTA))
    service = {"chat": {**wants(1)["chat"], **VLLM}}
    assert refusals_of(scene.plan(service)) == [
        "h1  0 of 1 GPUs free, needs 1 (GPU 0 has compute capability 7.0, and `vllm` needs 7.5)"
    ]
    assert scene.where({"chat": VLLM}) == {"chat-0": "h1"}, "it can serve on the processors"


@pytest.mark.parametrize("own", [{"version": "v0.8.5"}, {"image": "mine/vllm:volta"}, {"backend": "llama.cpp"}])
def test_of_other_images_it_is_not_known(own: dict[str, str]) -> None:
    scene = Scene({"h1": 1}, seen=cards(VOLTA))
    assert scene.where({"chat": {**wants(1)["chat"], **VLLM, **own}}) == {"chat-0": "h1:0"}


def test_what_runs_there_is_left_there() -> None:
    scene = Scene({"h1": 1})
    service = {"chat": {**wants(1)["chat"], **VLLM}}
    scene.apply(service)
    scene.seen = cards(VOLTA)
    assert scene.where(service) == {"chat-0": "h1:0"}


# --- which GPU it is ---------------------------------------------------------------------------


def problems_of(found: Plan) -> list[tuple[str, str]]:
    return [(p.code, p.message) for p in found.problems if p.severity == "error"]


ONE, TWO = (Gpu(i, f"GPU-h1-{i}", "NVIDIA H100", 80 << 30) for i in range(2))


@pytest.mark.parametrize(
    ("hosts", "asked"),
    [
        ({}, ["h1:0"]),
        ({}, [["h1:0"]]),
        ({"h1": {"gpus": {"use": [0]}}}, 1),
        ({"h1": {"gpus": {"exclude": [1]}}}, "auto"),
    ],
)
def test_an_index_that_moved_is_an_error(hosts: dict[str, dict[str, Any]], asked: object) -> None:
    scene = Scene({"h1": 2}, hosts)
    scene.apply(wants(asked))
    assert scene.plan(wants(asked)).is_empty
    scene.seen = cards(replace(TWO, index=0))
    assert problems_of(scene.plan(wants(asked))) == [
        (
            "gpu-moved",
            "GPU indexes of host `h1` moved: `GPU-h1-0`, which replica `chat-0` was given, is not seen any more",
        )
    ]
    scene.seen = cards(replace(TWO, index=0), replace(ONE, index=1))
    ((code, message),) = problems_of(scene.plan(wants(asked)))
    assert (code, message.rpartition(", ")[2]) == ("gpu-moved", "is GPU 1 now")


@pytest.mark.parametrize(
    ("hosts", "asked"), [({}, ["h1:GPU-h1-1"]), ({}, 1), ({"h1": {"gpus": {"use": ["GPU-h1-1", "H100"]}}}, 1)]
)
def test_a_uuid_does_not_move(hosts: dict[str, dict[str, Any]], asked: object) -> None:
    scene = Scene({"h1": 2}, hosts)
    scene.apply(wants(["h1:GPU-h1-1"]))
    scene.seen = cards(replace(TWO, index=0), replace(ONE, index=1))
    assert problems_of(scene.plan(wants(asked))) == []


def test_an_index_that_people_changed_did_not_move() -> None:
    scene = Scene({"h1": 2})
    scene.apply(wants(["h1:0"]))
    assert scene.where(wants(["h1:1"])) == {"chat-0": "h1:1"}


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"count": 2}, None),
        ({"count": 2, "model": "h100"}, None),
        ({"model": "A100"}, "GPU 0 of host `h1` is a NVIDIA H100, and `A100` is expected"),
        ({"count": 4}, "host `h1` is expected to have 4 GPUs for deployer, and 2 work"),
        ({"count": 1}, "host `h1` is expected to have 1 GPUs for deployer, and 2 work"),
    ],
)
def test_what_a_host_is_expected_to_have(expected: dict[str, object], said: str | None) -> None:
    scene = Scene({"h1": 2, "h2": 1}, {"h1": {"gpus": {"expect": expected}}})
    assert problems_of(scene.plan(wants())) == ([] if said is None else [("gpus-not-expected", said)])


def test_only_gpus_that_work_and_are_for_deployer_are_expected() -> None:
    scene = Scene({"h1": 2}, {"h1": {"gpus": {"expect": {"count": 2}, "use": [0, 1]}}})
    scene.seen = cards(ONE, replace(TWO, problem="GPU is lost"), replace(ONE, index=2, uuid="GPU-h1-2"))
    found = scene.plan(wants())
    assert problems_of(found) == [
        ("gpus-not-expected", "host `h1` is expected to have 2 GPUs for deployer, and 1 work")
    ]
    assert found.problems[0].evidence == ("GPU 1: GPU is lost",)
