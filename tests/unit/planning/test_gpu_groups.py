"""Groups of GPUs stay on NVLink where there is a choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.planning.gpu_groups import best_group, is_linked, rank
from deployer.values.facts import HostFacts
from tests.support.models import shape
from tests.unit.planning.scene import a_stranger
from tests.unit.planning.test_fitting import codes, scene

LINKS = ("NV12", "PIX", "PXB", "PHB", "NODE", "SYS")
Topology = dict[str, dict[str, str]]


def topology(links: dict[tuple[int, int], str], count: int = 4, other: str = "SYS", prefix: str = "") -> Topology:
    found: Topology = {f"{prefix}{i}": {} for i in range(count)}
    for one, two in combinations(range(count), 2):
        link = links.get((one, two), other)
        found[f"{prefix}{one}"][f"{prefix}{two}"] = found[f"{prefix}{two}"][f"{prefix}{one}"] = link
    return found


PAIRS = {(0, 2): "NV4", (1, 3): "NV4"}


@pytest.mark.parametrize(
    ("free", "count", "had", "expected"),
    [
        ("0123", 2, "", "02"),
        ("123", 2, "", "13"),
        ("0123", 2, "3", "31"),
        ("0123", 2, "01", "01"),
        ("0123", 4, "", "0123"),
        ("012", 1, "", "1"),
        ("012", 1, "0", "0"),
        ("0123", 1, "", "0"),
        ("01", 2, "", "01"),
    ],
)
def test_pairs_on_bridges(free: str, count: int, had: str, expected: str) -> None:
    assert "".join(best_group(free, count, topology(PAIRS), had)) == expected


def test_without_nvlink_the_shortest_way() -> None:
    links = {(0, 1): "SYS", (0, 2): "NODE", (0, 3): "SYS", (1, 2): "SYS", (1, 3): "PIX", (2, 3): "SYS"}
    assert best_group("0123", 2, topology(links)) == ("1", "3")


def test_where_nothing_is_known_in_the_order_given() -> None:
    assert best_group("3210", 2, {}) == ("3", "2")
    assert is_linked("3210", {})


@given(st.data(), st.integers(2, 8), st.integers(1, 8))
def test_no_other_group_is_connected_better(data: st.DataObject, size: int, count: int) -> None:
    links = {pair: data.draw(st.sampled_from(LINKS)) for pair in combinations(range(size), 2)}
    known = topology(links, size)
    free = data.draw(st.permutations([str(i) for i in range(size)]))
    found = best_group(free, count, known)
    assert len(set(found)) == len(found) == min(count, size)

    def worst(group: tuple[str, ...]) -> int:
        return max((rank(known, one, other) for one, other in combinations(group, 2)), default=0)

    assert worst(found) == min(worst(group) for group in combinations(free, len(found)))


def bridged(links: dict[tuple[int, int], str], other: str = "SYS") -> Callable[[HostFacts], HostFacts]:
    return lambda facts: replace(facts, gpu=replace(facts.gpu, topology=topology(links, 4, other, "GPU-h1-")))


def test_a_plan_keeps_a_group_on_nvlink() -> None:
    here = scene({"h1": (4, "A100")}, None)
    kinds = here.seen
    here.seen = lambda facts: bridged(PAIRS)(kinds(facts))
    both = {"backend": "vllm", "options": {"tensor_parallel": 2}}
    assert here.where({"chat": both}) == {"chat-0": "h1:0,2"}
    assert here.where({"chat": both, "tags": both}) == {"chat-0": "h1:0,2", "tags-0": "h1:1,3"}
    here.apply({"chat": both})
    assert here.plan({"chat": both}).is_empty
    train = a_stranger("train", gpus=("GPU-h1-2",))
    seen = here.seen
    here.world.boxes["h1"].clear()
    here.seen = lambda facts: replace(seen(facts), containers=(*facts.containers, train))
    assert here.where({"chat": both}) == {"chat-0": "h1:1,3"}


@pytest.mark.parametrize(("other", "said"), [("SYS", True), ("NV12", False)])
def test_a_large_group_without_nvlink_is_worth_a_look(other: str, said: bool) -> None:
    here = scene({"h1": (4, "A100")}, shape("Llama-3.1-70B"))
    kinds = here.seen
    here.seen = lambda facts: bridged({}, other)(kinds(facts))
    found = here.plan({"chat": {"backend": "vllm", "options": {"tensor_parallel": 4, "context_length": 4096}}})
    assert ("no-nvlink" in codes(found)) == said
    assert not found.has_errors
