"""Replicas that share a GPU: never more than there is of it, a cache of a stated size, and one start at a time."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from deployer.values.facts import HostFacts
from deployer.values.gpu_facts import Gpu, GpuFacts, GpuProcess
from deployer.values.operations import CreateContainer
from deployer.values.plan import Action, Plan
from tests.support.models import shape
from tests.unit.planning.scene import Scene, a_stranger, placements_of, refusals_of, with_others
from tests.unit.planning.test_fitting import codes, scene

GIB = 1 << 30
LLAMA = shape("Llama-3.1-8B")


def shares(
    memory: str | None = "30g", placement: Mapping[str, object] | None = None, **settings: Any
) -> dict[str, Any]:
    """A service that needs 18 GiB, and takes `memory`."""
    options = {"context_length": 8192} | ({"gpu_memory": memory} if memory else {}) | settings.pop("options", {})
    return {"backend": "vllm", "options": options, "placement": {"share": True, **(placement or {})}, **settings}


def plain(**settings: Any) -> dict[str, Any]:
    """Of which nobody knows what it needs."""
    return {"placement": {"gpus": 1, "share": True}, **settings}


def fraction(size: float) -> dict[str, Any]:
    return shares(None, options={"gpu_memory_fraction": size})


def arguments(found: Plan, service: str) -> list[str]:
    created = {s.key.service: s.operation for s in found.steps if s.key and isinstance(s.operation, CreateContainer)}
    return list(created[service].spec.command)


def needs(found: Plan, step: str) -> tuple[str, ...]:
    return next(s.needs for s in found.steps if s.id == step)


# --- how much ----------------------------------------------------------------------------------


def test_replicas_share_a_gpu_as_long_as_there_is_enough_of_it() -> None:
    here = scene({"h1": (2, "H100")}, LLAMA)
    services = {"chat": shares(replicas=5)}
    found = here.plan(services)
    assert placements_of(found) == {"chat-0": "h1:0", "chat-1": "h1:1", "chat-2": "h1:0", "chat-3": "h1:1"}
    assert refusals_of(found) == [
        "h1  0 of 2 GPUs free, needs 1 (GPU 0 is held by replica `chat-0`, replica `chat-2`, and 19.2 GiB of it are "
        "left where 30.0 are needed; GPU 1 is held by replica `chat-1`, replica `chat-3`, and 19.2 GiB of it are left "
        "where 30.0 are needed)"
    ]


def test_what_is_deployed_stays() -> None:
    here = scene({"h1": (2, "H100")}, LLAMA)
    services = {"chat": shares(replicas=3), "tags": shares("20g")}
    here.apply(services)
    assert here.plan(services).is_empty


def test_whoever_does_not_share_has_gpus_alone() -> None:
    here = scene({"h1": (2, "H100")}, LLAMA)
    services = {"alone": {"backend": "vllm", "options": {"context_length": 8192}}, "chat": shares(replicas=2)}
    assert here.where(services) == {"alone-0": "h1:0", "chat-0": "h1:1", "chat-1": "h1:1"}
    here.apply({"chat": shares(replicas=2, placement={"strategy": "binpack"})})
    found = here.plan({"chat": shares(replicas=2), "alone": services["alone"] | {"replicas": 2}})
    assert placements_of(found) == {"chat-0": "h1:0", "chat-1": "h1:0", "alone-0": "h1:1"}
    assert "GPU 0 is held by replica `chat-0`, replica `chat-1`, which share it" in refusals_of(found)[0]


def test_fractions_are_of_the_memory_that_cuda_shows() -> None:
    here = scene({"h1": (1, "H100")}, LLAMA)
    assert len(here.where({"chat": fraction(0.3) | {"replicas": 3}})) == 3
    assert len(here.where({"chat": fraction(0.34) | {"replicas": 3}})) == 2


def test_without_a_size_it_takes_what_its_server_takes_by_itself() -> None:
    here = scene({"h1": (1, "H100")}, LLAMA)
    found = here.plan({"chat": shares(None)})
    assert codes(found) == ["share-takes-all"]
    assert "72.9 GiB" in found.problems[0].message
    assert placements_of(here.plan({"chat": shares(None), "tags": shares("10g")})) == {"chat-0": "h1:0"}


def test_a_server_that_takes_what_it_needs_is_given_what_the_spec_sets_aside() -> None:
    here = Scene({"h1": 1})
    services = {"chat": plain(options={"gpu_memory": "35g"}, replicas=3)}
    assert here.where(services) == {"chat-0": "h1:0", "chat-1": "h1:0"}
    assert refusals_of(here.plan({"chat": plain()})) == [
        "h1  shares GPUs, and how much it takes is not known; set `options.gpu_memory`"
    ]


def test_arguments_that_say_how_much_are_not_guessed_at() -> None:
    here = scene({"h1": (1, "H100")}, LLAMA)
    found = here.plan({"chat": shares(None, args=["--gpu-memory-utilization", "0.4"])})
    assert refusals_of(found) == [
        "h1  shares GPUs, and its `args` say how much it takes; set `options.gpu_memory` instead"
    ]


@pytest.mark.parametrize(("strategy", "expected"), [("spread", "h1:1"), ("binpack", "h1:0")])
def test_the_emptiest_gpu_or_the_fullest(strategy: str, expected: str) -> None:
    here = scene({"h1": (2, "H100")}, LLAMA)
    here.apply({"chat": shares()})
    services = {"chat": shares(), "tags": shares(placement={"strategy": strategy})}
    assert here.where(services)["tags-0"] == expected


def test_a_group_shares_each_of_its_gpus() -> None:
    here = scene({"h1": (2, "H100")}, LLAMA)
    both = shares(options={"tensor_parallel": 2})
    found = here.plan({"chat": both, "tags": shares("45g")})
    assert placements_of(found) == {"chat-0": "h1:0,1", "tags-0": "h1:0"}


def test_a_gpu_whose_memory_is_not_known_is_not_shared() -> None:
    def seen(facts: HostFacts) -> HostFacts:
        return replace(facts, gpu=GpuFacts(gpus=(Gpu(0, "GPU-h1-0", "NVIDIA GB10"),)))

    here = Scene({"h1": 1}, seen=seen)
    two = plain(backend="vllm", options={"gpu_memory_fraction": 0.3}, replicas=2)
    assert placements_of(here.plan({"chat": two})) == {"chat-0": "h1:0"}


# --- others ------------------------------------------------------------------------------------


def test_what_other_projects_share_counts() -> None:
    other = a_stranger("other_chat_0", gpus=("GPU-h1-0",), gpu_share=50 * GIB)
    here = Scene({"h1": 1}, seen=with_others(other))
    assert here.where({"chat": plain(options={"gpu_memory": "25g"})}) == {"chat-0": "h1:0"}
    assert refusals_of(here.plan({"chat": plain(options={"gpu_memory": "30g"})})) == [
        "h1  0 of 1 GPUs free, needs 1 (GPU 0 is held by container other_chat_0, and 29.6 GiB of it are left where "
        "30.0 are needed)"
    ]
    assert refusals_of(here.plan({"chat": {"placement": {"gpus": 1}}})) == [
        "h1  0 of 1 GPUs free, needs 1 (GPU 0 is held by container other_chat_0, which share it)"
    ]


def test_who_does_not_say_how_much_has_it_all() -> None:
    here = Scene({"h1": 1}, seen=with_others(a_stranger("train", gpus=("all",))))
    found = here.plan({"chat": plain(options={"gpu_memory": "1g"})})
    assert refusals_of(found) == ["h1  0 of 1 GPUs free, needs 1 (GPU 0 is held by container train)"]


def test_small_processes_of_others_are_left_what_they_have() -> None:
    def seen(facts: HostFacts) -> HostFacts:
        processes = (GpuProcess("GPU-h1-0", 7, "Xorg", GIB // 2), GpuProcess("GPU-h1-0", 8, "kiosk", GIB // 2))
        return replace(facts, gpu=replace(facts.gpu, processes=processes))

    two = {"chat": plain(options={"gpu_memory": "39.5g"}, replicas=2)}
    assert len(Scene({"h1": 1}).where(two)) == 2
    assert len(Scene({"h1": 1}, seen=seen).where(two)) == 1


# --- the cache ---------------------------------------------------------------------------------


def test_vllm_is_told_the_size_of_its_cache() -> None:
    told = arguments(scene({"h1": (1, "H100")}, LLAMA).plan({"chat": shares()}), "chat")
    size = int(told[told.index("--kv-cache-memory-bytes") + 1])
    assert size % (1 << 20) == 0
    assert GIB <= size <= 30 * GIB - 15 * GIB, "as much as the weights leave, and what the context needs"
    assert told[told.index("--gpu-memory-utilization") + 1] == "0.3766"


def test_tensorrt_llm_is_told_it_in_its_file_of_options() -> None:
    here = scene({"h1": (1, "H100")}, LLAMA)
    found = here.apply({"chat": {**fraction(0.3), "backend": "tensorrt-llm"}})
    assert "shared-cache-not-sized" not in codes(found)
    (file,) = here.box("chat-0").spec.files.values()
    said = json.loads(b64decode(file.data))["kv_cache_config"]
    assert (said["free_gpu_memory_fraction"], said["dtype"]) == (0.95, "auto"), "what others leave then does not count"
    assert GIB <= said["max_gpu_total_bytes"] <= 0.3 * 80 * GIB
    old = scene({"h1": (1, "H100")}, LLAMA).plan(
        {"chat": {**fraction(0.3), "backend": "tensorrt-llm", "version": "1.0.0"}}
    )
    assert unsized(old) == "this version has no `max_gpu_total_bytes`"


def test_a_release_that_cannot_be_told_is_warned_of() -> None:
    found = scene({"h1": (1, "H100")}, LLAMA).plan({"chat": shares(version="v0.9.2")})
    assert "--kv-cache-memory-bytes" not in arguments(found, "chat")
    assert unsized(found) == "this version has no `--kv-cache-memory-bytes`"


def unsized(found: Plan) -> str:
    (message,) = [problem.message for problem in found.problems if problem.code == "shared-cache-not-sized"]
    before, _, why = message.partition(": ")
    assert before == "service `chat` shares its GPUs, and takes for its cache what it finds free when it starts"
    return why


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        ("sglang", "`--max-total-tokens` only lowers what it finds"),
        ("lmdeploy", "`--cache-max-entry-count` is a share of what is free"),
        ("tgi", "`--cuda-memory-fraction` is a share of the GPU"),
    ],
)
def test_why_other_servers_are_not_told_is_said(backend: str, why: str) -> None:
    service = {**fraction(0.4), "backend": backend}
    assert unsized(scene({"h1": (1, "H100")}, LLAMA).plan({"chat": service})) == why


def test_alone_it_sizes_its_cache_itself() -> None:
    services = {"chat": {"backend": "vllm", "options": {"gpu_memory": "30g", "context_length": 8192}}}
    assert "--kv-cache-memory-bytes" not in arguments(scene({"h1": (1, "H100")}, LLAMA).plan(services), "chat")


# --- one after the other -----------------------------------------------------------------------


def test_a_start_waits_until_the_one_before_it_on_its_gpu_has_answered() -> None:
    found = scene({"h1": (1, "H100"), "h2": (1, "H100")}, LLAMA).plan({"chat": shares("20g", replicas=3)})
    assert placements_of(found) == {"chat-0": "h1:0", "chat-1": "h2:0", "chat-2": "h1:0"}
    assert "h1/chat-0/commit" in needs(found, "h1/chat-2/start")
    assert not any("chat-0" in need for need in needs(found, "h2/chat-1/start"))


def test_what_is_replaced_serves_until_its_turn_comes() -> None:
    here = scene({"h1": (1, "H100")}, LLAMA)
    here.apply({"chat": shares(), "tags": shares()})
    found = here.apply({"chat": shares("31g"), "tags": shares("32g")})
    assert "h1/chat-0/commit" in needs(found, "h1/tags-0/stop")
    assert [a.min_ready for a in found.rollout] == [0, 0]


def test_where_there_is_no_room_for_both_the_one_that_leaves_goes_first() -> None:
    here = scene({"h1": (1, "H100")}, LLAMA)
    here.apply({"chat": shares("45g"), "tags": shares("30g")})
    found = here.apply({"chat": shares("25g"), "tags": shares("50g")})
    assert [change.action for change in found.changes] == [Action.REPLACE, Action.REPLACE]
    assert "h1/chat-0/stop" in needs(found, "h1/tags-0/start")


def test_a_newcomer_waits_for_what_is_removed_only_where_it_must() -> None:
    here = scene({"h1": (1, "H100")}, LLAMA)
    here.apply({"chat": shares()})
    beside = here.plan({"tags": shares("20g", port=8001)})
    assert "h1/chat-0/remove" not in needs(beside, "h1/tags-0/create")
    instead = here.apply({"tags": shares("60g", port=8001)})
    assert "h1/chat-0/remove" in needs(instead, "h1/tags-0/create")


def test_one_that_shared_no_more_and_one_that_begins_to() -> None:
    here = scene({"h1": (2, "H100")}, LLAMA)
    here.apply({"chat": shares(), "tags": shares("20g", placement={"strategy": "binpack"})})
    alone = {"backend": "vllm", "options": {"context_length": 8192}}
    found = here.apply({"chat": alone, "tags": shares("20g", placement={"strategy": "binpack"})})
    assert len(set(placements_of(found).values())) == 2
    here.apply({"chat": shares(), "tags": shares("20g")})
    assert here.plan({"chat": shares(), "tags": shares("20g")}).is_empty


# --- what the spec leaves to others --------------------------------------------------------------


def kept(size: str, count: int = 1) -> Scene:
    here = scene({"h1": (count, "H100")}, LLAMA)
    here.hosts = {"h1": {"reserve": {"gpu_memory": size}}}
    return here


def test_what_is_shared_leaves_of_each_gpu_what_is_reserved() -> None:
    services = {"chat": shares("39g", replicas=2)}
    assert len(placements_of(scene({"h1": (1, "H100")}, LLAMA).plan(services))) == 2
    assert refusals_of(kept("4g").plan(services)) == [
        "h1  0 of 1 GPUs free, needs 1 (GPU 0 is held by replica `chat-0`, and 36.2 GiB of it are left beside 4.0 GiB "
        "of `reserve.gpu_memory` where 39.0 are needed)"
    ]


def test_a_server_that_would_take_what_is_reserved_is_refused_with_the_fraction_that_does() -> None:
    here, alone = kept("12g"), {"backend": "vllm", "options": {"context_length": 8192, "tensor_parallel": 1}}
    assert refusals_of(here.plan({"chat": alone})) == [
        "h1  NVIDIA H100 80GB HBM3 has 67.2 GiB free beside 12.0 GiB of `reserve.gpu_memory`, and `vllm` takes 72.9 "
        "GiB when it starts; it fits with `gpu_memory_fraction` 0.84"
    ]
    fitting = {**alone, "options": {**alone["options"], "gpu_memory_fraction": 0.84}}
    assert placements_of(here.plan({"chat": fitting})) == {"chat-0": "h1:0"}
    assert placements_of(kept("1g").plan({"chat": alone})) == {"chat-0": "h1:0"}


@pytest.mark.parametrize(("backend", "fraction"), [("sglang", 0.95), ("lmdeploy", 0.9), ("tensorrt-llm", None)])
def test_so_is_one_that_takes_what_it_finds_free(backend: str, fraction: float | None) -> None:
    here, options = kept("12g"), {"context_length": 8192, "tensor_parallel": 1}
    asked = {**options, "gpu_memory_fraction": fraction} if fraction else options
    (line,) = refusals_of(here.plan({"chat": {"backend": backend, "options": asked}}))
    assert line.startswith(
        f"h1  NVIDIA H100 80GB HBM3 has 67.2 GiB beside 12.0 GiB of `reserve.gpu_memory`, and `{backend}`"
    )
    lower = float(line.rpartition("it fits with `gpu_memory_fraction` ")[2])
    fitting = {"backend": backend, "options": {**options, "gpu_memory_fraction": lower}}
    assert placements_of(here.plan({"chat": fitting})) == {"chat-0": "h1:0"}
    more = {"backend": backend, "options": {**options, "gpu_memory_fraction": round(lower + 0.01, 2)}}
    assert refusals_of(here.plan({"chat": more})), "it is the largest that does"


# --- what is written on the container ------------------------------------------------------------


def test_another_share_is_another_container_though_it_is_made_of_the_same() -> None:
    """Its label tells other projects what is left of its GPU."""
    here = Scene({"h1": 1})
    size = {"options": {"context_length": 1024, "gpu_memory": "20g"}, "placement": {"gpus": 1, "share": True}}
    here.apply({"chat": {**size, "options": {"context_length": 1024}, "placement": {"gpus": 1}}})
    found = here.apply({"chat": size})
    assert [(c.action, c.reasons[0].message) for c in found.changes] == [
        (Action.REPLACE, "is to have 20.0 GiB of each of its GPUs, and has its GPUs alone")
    ]
    assert here.box("chat-0").share == 20 * GIB
    assert here.plan({"chat": size}).is_empty
