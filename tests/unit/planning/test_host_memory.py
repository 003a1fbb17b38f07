"""What replicas take of their hosts' own memory, and what the spec keeps of it for others."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deployer.planning.choice import Seen, ServiceChoice, choose
from deployer.planning.host_memory_needs import host_memory_of
from deployer.planning.hosts import HostIndex
from deployer.values.facts import HostFacts
from tests.support.models import shape
from tests.unit.planning.scene import Scene, hint_of, placements_of, refusals_of
from tests.unit.planning.test_fitting import scene

GIB = 1 << 30
QWEN = shape("Qwen2.5-7B")
GGUF = replace(QWEN, is_gguf=True)
WEIGHTS = 8 * GIB
CHAT = {"model": "g", "backend": "llama.cpp", "placement": {"gpus": "none"}, "options": {"context_length": 32768}}


def with_memory(here: Scene, total: int, available: int | None = None) -> Scene:
    """GiB of each host."""
    before: Callable[[HostFacts], HostFacts] = here.seen
    free = total if available is None else available
    here.seen = lambda facts: replace(before(facts), memory_total=total * GIB, memory_available=free * GIB)
    return here


def kept(size: str, total: int, available: int | None = None, gpus: int = 0) -> Scene:
    here = with_memory(scene({"h1": (gpus, "H100")}, GGUF, WEIGHTS), total, available)
    here.hosts = {"h1": {"reserve": {"memory": size}}}
    return here


def chat(**changes: Any) -> dict[str, Any]:
    return {"chat": {**CHAT, **changes}}


# --- placing -------------------------------------------------------------------------------------


def test_a_model_on_processors_leaves_what_is_reserved() -> None:
    assert placements_of(kept("4g", 16).plan(chat())) == {"chat-0": "h1"}
    found = kept("8g", 16).plan(chat())
    (line,) = refusals_of(found)
    needs = "h1  it needs 10.2 GiB of the host's memory, and 8.0 GiB are left beside 8.0 GiB of `reserve.memory`"
    assert line.startswith(needs), line


def test_a_shorter_context_that_is_offered_fits_and_a_longer_one_does_not() -> None:
    here = kept("7g", 16)
    (line,) = refusals_of(here.plan(chat()))
    offered = int(re.search(r"it fits with `context_length` (\d+)$", line)[1])  # type: ignore[index]
    assert placements_of(here.plan(chat(options={"context_length": offered}))) == {"chat-0": "h1"}
    assert refusals_of(here.plan(chat(options={"context_length": offered + 1024})))
    hint = hint_of(here.plan(chat())) or ""
    assert hint == f"set `options.context_length` to {offered} (h1 takes it then), or lower `reserve.memory`"


def test_what_others_use_now_counts_for_what_comes() -> None:
    assert placements_of(kept("4g", 64, available=15).plan(chat())) == {"chat-0": "h1"}
    assert "2.0 GiB are left" in refusals_of(kept("4g", 64, available=6).plan(chat()))[0]


def test_each_replica_counts() -> None:
    assert len(placements_of(kept("4g", 27).plan(chat(replicas=3)))) == 2
    assert len(placements_of(kept("4g", 36).plan(chat(replicas=3)))) == 3


def test_what_runs_stays_whatever_is_free_until_it_is_edited() -> None:
    here = kept("4g", 16)
    here.apply(chat())
    with_memory(here, 12, 1)
    assert here.plan(chat()).is_empty
    assert refusals_of(here.plan(chat(options={"context_length": 65536})))


def test_an_edit_takes_what_its_predecessor_has() -> None:
    here = kept("4g", 16)
    here.apply(chat())
    with_memory(here, 16, 5)
    assert not here.plan(chat(options={"context_length": 16384})).has_errors


def test_who_leaves_gives_memory_back() -> None:
    here = kept("4g", 16)
    here.apply(chat())
    with_memory(here, 16, 5)
    assert placements_of(here.plan({"other": CHAT})) == {"other-0": "h1"}
    with_memory(here, 16, 5)
    assert refusals_of(here.plan({**chat(), "other": CHAT}))


def test_a_container_that_is_limited_takes_no_more_than_that() -> None:
    assert placements_of(kept("8g", 16).plan(chat(container={"memory": "8g"}))) == {"chat-0": "h1"}
    assert "it needs 9.0 GiB" in refusals_of(kept("8g", 16).plan(chat(container={"memory": "9g"})))[0]


def test_a_host_that_does_not_say_how_much_it_has_refuses_nothing() -> None:
    assert placements_of(kept("8g", 0).plan(chat())) == {"chat-0": "h1"}


def test_another_host_takes_it() -> None:
    here = with_memory(scene({"h1": (0, "T4"), "h2": (0, "T4")}, GGUF, WEIGHTS), 16)
    here.hosts = {"h1": {"reserve": {"memory": "8g"}}}
    assert len(placements_of(here.plan(chat(replicas=2)))) == 2
    assert set(placements_of(here.plan(chat(replicas=2))).values()) == {"h2"}


# --- how much it is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "changes", "gpus", "gib"),
    [
        ("llama.cpp", {"options": {"context_length": 32768}}, 0, 10.25),  # 8 of weights, 1.75 of cache, and the rest
        ("llama.cpp", {"options": {"context_length": 32768}}, 1, 0.15),
        ("llama.cpp", {"options": {"context_length": 32768, "cpu_offload": 14}}, 1, 5.2),  # half of its 28 layers
        ("llama.cpp", {"options": {"cpu_offload": "auto"}}, 1, None),
        ("llama.cpp", {"options": {"context_length": 32768}, "args": ["-ngl", "14"]}, 0, 10.25),
        ("llama.cpp", {"options": {"context_length": 32768}, "args": ["-ngl", "14"]}, 1, 5.2),
        ("llama.cpp", {"options": {"context_length": 32768}, "args": ["--cpu-moe"]}, 0, 8.15),
        ("vllm", {"options": {"cpu_offload": 10}, "args": ["--cpu-offload-gb", "4"]}, 2, 8.15),  # the last one counts
        ("ollama", {}, 0, 8.7),  # by its own default of 4096 tokens
        ("vllm", {"options": {"cpu_offload": 10, "tensor_parallel": 2}}, 2, 20.15),
        ("vllm", {"args": ["--swap-space", "4"], "version": "v0.9.2"}, 2, 8.15),
        ("vllm", {"args": ["--kv-offloading-size=12.5"]}, 2, 12.65),
        ("vllm", {"args": ["--kv-offloading-size"]}, 2, 0.15),
        ("vllm", {"args": ["--swap-space", "1e308"]}, 2, 0.15),
        ("sglang", {"args": ["--hicache-size", "30"]}, 2, 56.03),
        ("vllm", {"options": {"context_length": 8192}, "env": {"VLLM_CPU_KVCACHE_SPACE": "40"}}, 0, 48.15),
        ("vllm", {"container": {"memory": "30g"}}, 2, 30.0),
    ],
)
def test_how_much_a_replica_takes(backend: str, changes: dict[str, Any], gpus: int, gib: float | None) -> None:
    here = with_memory(scene({"h1": (max(gpus, 1), "H100")}, GGUF, WEIGHTS), 64)
    service = {"model": "g", "backend": backend, "placement": {"gpus": "none"} if not gpus else {}, **changes}
    project = here.project({"chat": service})
    (facts,) = here.observed(project).reachable.values()
    choice = choose(project, "chat", Seen({"h1": facts}, HostIndex(project.spec)), ())
    assert isinstance(choice, ServiceChoice), choice
    found = host_memory_of(choice, project.with_backend("chat", backend), facts, gpus)
    assert (found is None) is (gib is None)
    assert gib is None or found == pytest.approx(gib * GIB, abs=0.15 * GIB)


# --- where nothing is reserved -------------------------------------------------------------------


def test_what_surely_exceeds_a_hosts_memory_is_warned_of() -> None:
    here = with_memory(scene({"h1": (0, "T4")}, GGUF, WEIGHTS), 16, 1)
    assert here.plan(chat()).problems == ()
    found = here.plan(chat(replicas=2))
    (problem,) = found.problems
    assert (problem.code, problem.severity) == ("host-memory-short", "warning")
    assert problem.message == "on host `h1` `chat-0`, `chat-1` need 20.5 GiB of its memory, and it has 16.0 GiB"
    assert len(placements_of(found)) == 2


def test_models_on_gpus_need_none_of_it() -> None:
    here = with_memory(scene({"h1": (1, "H100")}, GGUF, WEIGHTS), 4)
    assert here.plan(chat(placement={"gpus": 1})).problems == ()
