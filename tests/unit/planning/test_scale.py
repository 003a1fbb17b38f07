"""Work grows with the fleet and no faster: calls are counted, seconds are not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import FrameType
from typing import Any

import pytest

from deployer.errors import Diagnostic
from deployer.planning.planner import plan
from deployer.spec.load import load
from deployer.values.facts import ObservedState, Unreachable
from deployer.values.facts_json import facts_from_data, facts_to_data
from deployer.values.plan import Plan
from deployer.values.resolved import Resolved
from deployer.view.plan_html import render_html
from deployer.view.plan_json import plan_json
from deployer.view.plan_markdown import render_markdown
from deployer.view.plan_text import render_plan
from tests.bench.planning import applied, empty_host, make_project, name_of
from tests.bench.recorded import inventory_of, spec_of

SIZES = (10, 20, 40)
LARGER = (20, 40, 80)  # ten hosts are too few for ten services: changes that help are tried there
MOST = 2.2  # 2 is linear; sorting costs a little more


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called, those in C too."""
    count = 0

    def counted(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def assert_linear(work: Callable[[int], Callable[[], object]], sizes: tuple[int, int, int] = SIZES) -> None:
    """What twice as many hosts cost more, against what the first doubling did. `work` prepares, and is not counted."""
    work(sizes[0])()  # what is made once is made
    small, middle, large = (calls_of(work(size)) for size in sizes)
    assert large - middle <= MOST * (middle - small), (small, middle, large)


@cache
def empty(hosts: int) -> ObservedState:
    return ObservedState({name_of(n): empty_host(name_of(n)) for n in range(hosts)})


@cache
def deployed(hosts: int) -> ObservedState:
    return applied(plan(make_project(hosts), empty(hosts), Resolved()), empty(hosts))


def partly_dark(hosts: int) -> ObservedState:
    why = Diagnostic("ssh-timeout", "it does not answer")
    seen = deployed(hosts).hosts.items()
    return ObservedState({name: Unreachable(name, why) if name.endswith("7") else host for name, host in seen})


def without_models(hosts: int) -> ObservedState:
    return ObservedState({name: replace(host, paths={}) for name, host in empty(hosts).reachable.items()})


@pytest.mark.parametrize(
    ("seen", "edited", "services"),
    [(empty, False, None), (deployed, False, None), (deployed, True, None), (partly_dark, False, None),
     (without_models, False, None), (empty, False, 10), (deployed, True, 10)],
)  # fmt: skip
def test_a_plan_is_linear_in_hosts(seen: Callable[[int], ObservedState], edited: bool, services: int | None) -> None:
    def prepared(hosts: int) -> Callable[[], object]:
        project, state = make_project(hosts, edited, services), seen(hosts)
        return lambda: plan(project, state, Resolved())

    assert_linear(prepared, SIZES if services is None else LARGER)


def test_recorded_facts_are_read_in_linear_time() -> None:
    def prepared(hosts: int) -> Callable[[], object]:
        data = facts_to_data(deployed(hosts))
        return lambda: facts_from_data(data)

    assert_linear(prepared)


@pytest.mark.parametrize("inline", [False, True])
def test_a_spec_is_loaded_in_linear_time(inline: bool) -> None:
    def prepared(hosts: int) -> Callable[[], object]:
        spec, inventory = spec_of(hosts, hosts // 2), inventory_of(hosts)
        if inline:
            del spec["inventory"]
            groups = {f"g{n}": [name_of(n), name_of(n + 1)] for n in range(0, hosts, 2)}
            spec |= inventory | {"groups": groups}
            for name, service in spec["services"].items():
                service["placement"] = {"hosts": [f"g{2 * int(name[1:])}"]}
        files = {"deploy.yaml": json.dumps(spec).encode(), "hosts.yaml": json.dumps(inventory).encode()}
        return lambda: load(["deploy.yaml"], files.__getitem__)

    assert_linear(prepared)


@pytest.mark.parametrize("render", [plan_json, render_plan, render_html, render_markdown])
def test_a_plan_is_shown_in_linear_time(render: Callable[[Plan], object]) -> None:
    def prepared(hosts: int) -> Callable[[], object]:
        found = plan(make_project(hosts), empty(hosts), Resolved())
        return lambda: render(found)

    assert_linear(prepared)
