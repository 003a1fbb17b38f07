"""Weights that arrived between a plan and its apply: the plan decided without them, and stands all the same."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.dataclass import replace
from deployer.values.facts import HostFacts, ObservedState, PathFact, Unreachable


def without_arrivals(now: ObservedState, then: ObservedState) -> ObservedState:
    """The hosts as they are now, but for paths and copies that were missing `then`: what came since makes no other
    decision."""
    return ObservedState({name: _host(host, then.hosts.get(name)) for name, host in now.hosts.items()})


def _host(now: HostFacts | Unreachable, then: HostFacts | Unreachable | None) -> HostFacts | Unreachable:
    if not isinstance(now, HostFacts) or not isinstance(then, HostFacts):
        return now
    there = {copy.folder for copy in then.copies}
    copies = tuple(copy for copy in now.copies if copy.folder in there)
    return replace(now, paths=_paths(now.paths, then.paths), copies=copies)


def _paths(now: Mapping[str, PathFact], then: Mapping[str, PathFact]) -> dict[str, PathFact]:
    missing = {path: fact for path, fact in then.items() if fact.kind == "missing"}
    return {path: missing.get(path, fact) for path, fact in now.items()}
