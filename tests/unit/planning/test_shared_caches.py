"""Caches on a file server: one fetch for all hosts that have the folder, one budget, no removal that others miss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from deployer.engine.wording import operation_text
from deployer.planning.caches import copies_once, each_once, prunable, seen_from
from deployer.planning.planner import plan as planned
from deployer.planning.reading import read_once
from deployer.planning.shared_caches import shared_folder
from deployer.values.cache import CacheUser, HostCache, KeptCopy
from deployer.values.facts import Disk, HostFacts, ObservedState
from deployer.values.plan import Plan, Step
from deployer.values.presynced import Copy
from deployer.values.resolved import Resolved
from deployer.values.transfers import CheckCopy, FetchWeights
from deployer.values.weights import Manifest, WeightFile
from tests.support.planning import errors_of
from tests.support.world import World
from tests.unit.planning.test_fanout import OTHER, SOURCE, facts, listing, project, servers, ways

MIB, GIB = 1 << 20, 1 << 30
BIG = WeightFile("m-q4_k_m.gguf", 600 * MIB, sha256="1" * 64)
OTHER_BIG = WeightFile("n-q4_k_m.gguf", 600 * MIB, sha256="2" * 64)
RESOLVED = Resolved(listings={f"{SOURCE}@": listing(SOURCE, BIG), f"{OTHER}@": listing(OTHER, OTHER_BIG)})
MANIFEST = Manifest(SOURCE, "main", "a" * 40, (BIG,))


def with_disk(found: HostFacts, cache: str, mount: str, server: str, free: int = 100 * GIB) -> HostFacts:
    return replace(found, disks=(Disk(cache, mount, 1000 * GIB, free, server), *found.disks))


def planned_for(servers: Mapping[str, str], free: int = 100 * GIB) -> Plan:
    """`servers`: by host what is mounted at a place of its own."""
    world = World(dict.fromkeys(servers, 0))
    hosts = {name: {"cache_dir": f"/mnt/{name}/hf"} for name in servers}
    seen = {n: with_disk(facts(world, n), f"/mnt/{n}/hf", f"/mnt/{n}", server, free) for n, server in servers.items()}
    return planned(project(hosts), ObservedState(dict(seen)), RESOLVED)


def fetches(found: Plan) -> dict[str, Step]:
    return {step.host: step for step in found.steps if isinstance(step.operation, FetchWeights)}


def test_hosts_that_share_a_folder_fetch_once() -> None:
    found = planned_for({"h1": "nas:/models", "h2": "nas:/models", "h3": "nas:/models"})
    steps = fetches(found)
    assert {host: step.bytes for host, step in steps.items()} == {"h1": BIG.size, "h2": 0, "h3": 0}
    assert [steps[host].needs for host in ("h2", "h3")] == [(steps["h1"].id,), (steps["h1"].id,)]
    assert servers(found) == {}
    assert operation_text(steps["h2"].operation) == f"find {SOURCE} at {'a' * 12} in the folder that host h1 shares"


def test_whoever_has_a_folder_of_its_own_gets_it_from_the_one_that_fetches() -> None:
    found = planned_for({"h1": "nas:/models", "h2": "", "h3": "nas:/models", "h4": "nas:/other"})
    assert ways(found) == {"h1": (), "h2": ("h1",), "h4": ("h2", "h1"), "h3": ()}
    assert fetches(found)["h3"].needs == (fetches(found)["h1"].id,)


def test_nothing_waits_for_what_comes_later() -> None:
    found = planned_for({"h1": "nas:/models", "h2": "", "h3": "nas:/models"})
    seen: set[str] = set()
    for step in found.steps:
        assert seen.issuperset(step.needs)
        seen.add(step.id)


def test_the_space_of_a_file_server_is_counted_once() -> None:
    assert errors_of(planned_for({"h1": "nas:/models", "h2": "nas:/models"}, free=700 * MIB)) == []
    assert errors_of(planned_for({"h1": "", "h2": ""}, free=500 * MIB)) == ["disk-too-small"] * 2


def test_two_models_on_one_file_server_must_fit_together() -> None:
    world = World({"h1": 0, "h2": 0})
    hosts = {"h1": {"cache_dir": "/mnt/hf"}, "h2": {"cache_dir": "/mnt/other"}}
    seen = {
        name: with_disk(facts(world, name), host["cache_dir"], "/mnt", "nas:/models", 1000 * MIB)
        for name, host in hosts.items()
    }
    where = {name: {"hosts": [name], "gpus": "none"} for name in hosts}
    chat = {"backend": None, "replicas": 1, "placement": where["h1"]}
    more = {"backend": None, "model": "n", "replicas": 1, "placement": where["h2"]}
    both = planned(project(hosts, chat=chat, more=more), ObservedState(dict(seen)), RESOLVED)
    (refused,) = [d for d in both.problems if d.code == "disk-too-small"]
    assert refused.message == "what hosts `h1` and `h2` have to fetch does not fit under `/mnt/hf`"
    assert len(refused.evidence) == 3
    one = planned(project(hosts, chat=chat), ObservedState(dict(seen)), RESOLVED)
    assert errors_of(one) == []


@pytest.mark.parametrize(
    ("cache", "server", "mount", "folder"),
    [
        ("/mnt/nas/hf", "nas:/models", "/mnt/nas", "nas:/models/hf"),
        ("/data", "nas:/models", "/data", "nas:/models"),
        ("/data/hf", "nas:/", "/data", "nas:/hf"),
        ("/mnt/nas/hf", "", "/mnt/nas", ""),
        ("/srv/link", "nas:/models", "/mnt/nas", ""),
        ("/mnt/nas2", "nas:/models", "/mnt/nas", ""),
        ("/mnt/x", "nas:/models", "/", "nas:/models/mnt/x"),
    ],
)
def test_what_a_shared_folder_is_called(cache: str, server: str, mount: str, folder: str) -> None:
    assert shared_folder(cache, server, mount) == folder


def test_one_of_those_who_share_a_folder_stands_for_it() -> None:
    found = [
        HostCache(name, "/mnt/hf", shared=shared) for name, shared in (("a", "nas:/x"), ("b", ""), ("c", "nas:/x"))
    ]
    assert [cache.host for cache in each_once(found)] == ["a", "b"]


def test_what_others_may_use_is_not_removed() -> None:
    shared = HostCache("a", "/mnt/hf", shared="nas:/x", others=("b",))
    chosen, problems = prunable([shared], is_ours=False)
    assert (chosen, [p.code for p in problems]) == ((), ["shared-cache"])
    assert prunable([shared], is_ours=True) == ((shared,), ())


def test_what_nobody_sees_the_users_of_is_not_removed() -> None:
    own, hidden = HostCache("a", "/srv/hf"), HostCache("b", "/srv/hf", unseen=("b",))
    chosen, problems = prunable([own, hidden], is_ours=False)
    assert (chosen, [p.code for p in problems]) == ((own,), ["cache-users-unknown"])
    unseen = HostCache("a", "/mnt/hf", shared="nas:/x", unseen=("c",))
    assert [p.code for p in prunable([unseen], is_ours=True)[1]] == ["cache-users-unknown"]


@pytest.mark.parametrize(
    ("mount", "here"),
    [
        ("/mnt/nas/hf/hub/models--a--b", ("/data/hf/hub/models--a--b",)),
        ("/mnt/nas/hf", ("/data/hf",)),
        ("/mnt/nas", ("/data/hf",)),
        ("/mnt/nas/hf2", ()),
        ("/srv", ()),
    ],
)
def test_mounts_of_another_host_are_seen_as_from_here(mount: str, here: tuple[str, ...]) -> None:
    assert seen_from("/data/hf", "/mnt/nas/hf", CacheUser("x", (), (mount,))).mounts == here


def reading(host: str, folder: str, manifest: Manifest = MANIFEST) -> Step:
    return Step(f"{host}/copy", host, CheckCopy(folder, folder, manifest, "/cache"), needs=("x",), bytes=BIG.size)


def test_a_copy_that_hosts_share_is_read_by_the_first_of_them() -> None:
    world = World(dict.fromkeys(("h1", "h2", "h3", "h4"), 0))
    mounts = {"h1": ("/data", "nas:/m"), "h2": ("/mnt", "nas:/m"), "h3": ("/data", ""), "h4": ("/data", "nas:/other")}
    seen = {n: with_disk(facts(world, n), mount, mount, server) for n, (mount, server) in mounts.items()}
    steps = [reading(name, f"{mount}/org/name") for name, (mount, _) in mounts.items()]
    first, second, *others = read_once(seen, steps)
    assert [first, *others] == [steps[0], *steps[2:]]
    assert (second.needs, second.bytes) == (("x", "h1/copy"), 0)
    said = f"find /mnt/org/name as host h1 reads it, a copy of {SOURCE} at {'a' * 12}"
    assert operation_text(second.operation) == said


def test_other_files_of_a_shared_folder_are_read() -> None:
    world = World(dict.fromkeys(("h1", "h2"), 0))
    seen = {n: with_disk(facts(world, n), "/data", "/data", "nas:/m") for n in ("h1", "h2")}
    other = replace(MANIFEST, files=(OTHER_BIG,))
    steps = (reading("h1", "/data/org/name"), reading("h2", "/data/org/name", other))
    assert tuple(read_once(seen, steps)) == steps


def test_a_copy_that_hosts_share_is_checked_once() -> None:
    copy = Copy("/data/m", "/data/m", "", {})
    mine, shared = KeptCopy("h1", SOURCE, copy, "whole"), KeptCopy("h1", SOURCE, copy, "whole", shared="nas:/m")
    kept = [mine, replace(mine, host="h2"), shared, replace(shared, host="h2"), replace(shared, shared="nas:/n")]
    assert copies_once(kept) == (mine, kept[1], shared, kept[4])
