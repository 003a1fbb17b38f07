"""Which host gets a model from which: who reads the source, who passes it on, and at which port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from deployer.engine.wording import operation_text
from deployer.planning.planner import plan as planned
from deployer.spec.project import Project
from deployer.values.facts import HostFacts, Listener, ObservedState
from deployer.values.plan import Plan, Step
from deployer.values.resolved import Resolved
from deployer.values.transfers import FetchWeights, ServeWeights
from deployer.values.weights import Listing, Manifest, WeightFile
from tests.support.planning import errors_of, project_of
from tests.support.world import World

SOURCE, OTHER = "hf://org/name-GGUF", "hf://org/other-GGUF"
IMAGE = "ghcr.io/ggml-org/llama.cpp:server"
CACHE = "/var/lib/deployer/cache"
FILE = WeightFile("m-q4_k_m.gguf", 1000, sha256="1" * 64)
Hosts = Mapping[str, Mapping[str, Any]]
SSH: Mapping[str, Any] = {"connection": "ssh"}


def listing(source: str = SOURCE, file: WeightFile = FILE) -> Listing:
    return Listing(source, "main", "a" * 40, (file,))


MANIFEST = Manifest(SOURCE, "main", "a" * 40, (FILE,))
RESOLVED = Resolved(listings={f"{SOURCE}@": listing(), f"{OTHER}@": listing(OTHER)})


def project(hosts: Hosts, **services: Any) -> Project:
    chat = {"backend": None, "replicas": len(hosts), "placement": {"max_per_host": 1, "gpus": "none"}}
    models = {"m": {"source": SOURCE}, "n": {"source": OTHER}}
    settings = {name: {**SSH, **host} for name, host in hosts.items()}
    return project_of({"chat": chat, **services}, settings, models=models)


def facts(world: World, name: str, have: int = 0, *, is_whole: bool = False) -> HostFacts:
    """`have`: bytes of the file that are there. Its image is on the host."""
    world.images[name].add(IMAGE)
    found = world.facts(name, ())
    folders = {}
    if have:
        part = "" if is_whole else ".part"
        folders[f"{CACHE}/{MANIFEST.folder}/blobs"] = {f"{FILE.blob}{part}": (have, 1)}
    if is_whole:
        folders[f"{CACHE}/manifests"] = {MANIFEST.id: (100, 2)}
    return replace(found, folders=folders)


def planned_for(hosts: Hosts, have: Mapping[str, int] | None = None, **services: Any) -> Plan:
    world = World(dict.fromkeys(hosts, 0))
    known = have or {}
    observed = {name: facts(world, name, known.get(name, 0), is_whole=known.get(name) == 1000) for name in hosts}
    found = planned(project(hosts, **services), ObservedState(dict(observed)), RESOLVED)
    assert errors_of(found) == []
    return found


def ways(found: Plan) -> dict[str, tuple[str, ...]]:
    return {s.host: s.operation.peers for s in found.steps if isinstance(s.operation, FetchWeights)}


def servers(found: Plan) -> dict[str, tuple[str, ...]]:
    return {s.host: s.operation.to for s in found.steps if isinstance(s.operation, ServeWeights)}


def serving(found: Plan) -> list[Step]:
    return [s for s in found.steps if isinstance(s.operation, ServeWeights)]


def test_one_host_reads_the_source_and_each_other_one_has_one_before_it() -> None:
    found = planned_for({"h1": {}, "h2": {}, "h3": {}, "h4": {}, "h5": {}})
    assert ways(found) == {
        "h1": (),
        "h2": ("h1",),
        "h3": ("h2", "h1"),
        "h4": ("h3", "h2", "h1"),
        "h5": ("h4", "h3", "h1"),
    }
    assert servers(found) == {
        "h1": ("h2", "h3", "h4", "h5"),
        "h2": ("h3", "h4"),
        "h3": ("h4", "h5"),
        "h4": ("h5",),
    }


def test_a_host_alone_has_no_peer() -> None:
    found = planned_for({"h1": {}})
    assert ways(found) == {"h1": ()}
    assert serving(found) == []


def test_the_way_is_in_the_plans_words() -> None:
    found = planned_for({"h1": {}, "h2": {}})
    texts = [operation_text(s.operation) for s in found.steps if isinstance(s.operation, FetchWeights | ServeWeights)]
    assert texts == [
        f"serve {SOURCE} at {'a' * 12} to h2",
        f"fetch {SOURCE} at {'a' * 12} from the hub",
        f"fetch {SOURCE} at {'a' * 12} from peer h1",
    ]
    assert [s.bytes for s in found.steps if isinstance(s.operation, FetchWeights)] == [1000, 1000]


def test_nobody_fetches_before_those_serve_who_are_asked() -> None:
    found = planned_for({"h1": {}, "h2": {}, "h3": {}})
    seen: set[str] = set()
    for step in found.steps:
        if isinstance(step.operation, FetchWeights):
            assert set(step.needs) == {f"{peer}/serve/{MANIFEST.id}" for peer in step.operation.peers}
            assert seen.issuperset(step.needs)
        seen.add(step.id)


def test_who_has_it_whole_serves_those_who_lack_it() -> None:
    found = planned_for({"h1": {}, "h2": {}, "h3": {}}, {"h2": 1000})
    assert ways(found) == {"h1": ("h2",), "h3": ("h1", "h2")}


def test_several_who_have_it_share_the_work() -> None:
    found = planned_for({f"h{number}": {} for number in range(1, 7)}, {"h1": 1000, "h2": 1000})
    assert ways(found) == {"h3": ("h1",), "h5": ("h3", "h1"), "h4": ("h2",), "h6": ("h4", "h2")}


def test_who_has_most_of_it_comes_first() -> None:
    found = planned_for({"h1": {}, "h2": {}, "h3": {}}, {"h3": 900, "h1": 100})
    assert ways(found) == {"h3": (), "h1": ("h3",), "h2": ("h1", "h3")}


def test_who_reaches_the_hub_comes_before_those_who_do_not() -> None:
    found = planned_for({"h1": {"fetch": "controller"}, "h2": {}, "h3": {"fetch": "controller"}}, {"h1": 900})
    assert ways(found) == {"h2": (), "h1": ("h2",), "h3": ("h1", "h2")}


def test_the_controller_brings_it_to_one_host_only() -> None:
    hosts = {name: {"fetch": "controller"} for name in ("h1", "h2", "h3")}
    found = planned_for(hosts)
    assert ways(found) == {"h1": (), "h2": ("h1",), "h3": ("h2", "h1")}
    (first,) = [s.operation for s in found.steps if isinstance(s.operation, FetchWeights) and not s.operation.peers]
    assert operation_text(first) == f"bring {SOURCE} at {'a' * 12} from the controller"


def test_a_host_that_wants_no_peers_has_none_and_is_none() -> None:
    found = planned_for({"h1": {"peers": False}, "h2": {}, "h3": {}})
    assert ways(found) == {"h1": (), "h2": (), "h3": ("h2",)}
    assert servers(found) == {"h2": ("h3",)}


def test_the_controllers_own_machine_is_served_and_serves_nobody() -> None:
    found = planned_for({"h1": {"connection": "local"}, "h2": {}, "h3": {}})
    assert ways(found) == {"h2": (), "h3": ("h2",), "h1": ("h3", "h2")}


def test_it_serves_at_the_last_port_that_nobody_has() -> None:
    world = World({"h1": 0, "h2": 0})
    hosts = {"h1": {"ports": "20000-20003"}, "h2": {}}
    busy = replace(facts(world, "h1"), listeners=(Listener("0.0.0.0", 20003, owner="process x"),))
    both = {"backend": None, "model": "n", "replicas": 2, "placement": {"max_per_host": 1, "gpus": "none"}}
    spec = project(hosts, more={**both, "port": None})
    found = planned(spec, ObservedState({"h1": busy, "h2": facts(world, "h2")}), RESOLVED)
    ports = [s.operation.port for s in serving(found) if isinstance(s.operation, ServeWeights) and s.host == "h1"]
    placed = {m.port for placement in found.placements for m in placement.members if m.host == "h1"}
    assert placed == {20000, 20001}
    assert ports[0] == 20002
    assert len(ports) == 2
    assert ports[1] != 20002


@pytest.mark.parametrize("have", [{}, {"h2": 1000}, {"h3": 500}])
def test_models_come_in_one_order_on_all_hosts(have: dict[str, int]) -> None:
    """Or two hosts could wait for each other."""
    more = {"backend": None, "model": "n", "replicas": 3, "placement": {"max_per_host": 1, "gpus": "none"}}
    found = planned_for({"h1": {}, "h2": {}, "h3": {}}, have, more=more)
    order: dict[str, list[str]] = {}
    for step in found.steps:
        if isinstance(step.operation, FetchWeights):
            order.setdefault(step.host, []).append(step.operation.manifest.id)
    longest = max(order.values(), key=len)
    assert len(longest) == 2
    assert all(longest.index(a) < longest.index(b) for ids in order.values() for a, b in pairwise(ids))
