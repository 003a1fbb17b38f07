"""Weights that arrive between a plan and its apply change none of its decisions; what vanished does."""

from __future__ import annotations

from dataclasses import replace

from deployer.errors import Diagnostic
from deployer.planning.arrivals import without_arrivals
from deployer.planning.planner import plan
from deployer.values.facts import HostFacts, ObservedState, PathFact, Unreachable
from deployer.values.resolved import Resolved
from tests.support.planning import MODEL
from tests.unit.planning.scene import CPU, Scene, placements_of

CHAT = {"chat": {"placement": CPU}}


def seen_without(*hosts: str) -> ObservedState:
    """Two hosts; these lack the model."""

    def change(facts: HostFacts) -> HostFacts:
        missing = {MODEL: PathFact(MODEL, "missing")} if facts.name in hosts else {}
        return replace(facts, paths={**facts.paths, **missing})

    scene = Scene({"h1": 0, "h2": 0}, seen=change)
    return scene.observed(scene.project(CHAT))


def where(observed: ObservedState) -> dict[str, str]:
    return placements_of(plan(Scene({"h1": 0, "h2": 0}).project(CHAT), observed, Resolved()))


def test_a_replica_goes_where_it_was_shown_to_go() -> None:
    then, now = seen_without("h1"), seen_without()
    assert (where(then), where(now)) == ({"chat-0": "h2"}, {"chat-0": "h1"})
    assert where(without_arrivals(now, then)) == {"chat-0": "h2"}


def test_what_vanished_is_gone() -> None:
    then, now = seen_without("h1"), seen_without("h1", "h2")
    assert where(without_arrivals(now, then)) == {}


def test_hosts_that_came_or_went_are_as_they_are_now() -> None:
    away = ObservedState({**seen_without().hosts, "h1": Unreachable("h1", Diagnostic("unreachable", "away"))})
    there = seen_without()
    assert without_arrivals(away, there) == away
    assert without_arrivals(there, away) == there
