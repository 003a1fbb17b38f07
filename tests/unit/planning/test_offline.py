"""Offline: what a plan would have leave the hosts is named; and what a bundle must hold, or lacks, for a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployer.planning.bundled import AtHand, brought, lacking, wanted
from deployer.planning.offline import outward
from deployer.planning.planner import plan
from deployer.spec.project import Project
from deployer.values.bundle import Bundle, BundledSpec, Content, Parent
from deployer.values.facts import ObservedState
from deployer.values.image_content import Blob, ImageContent, ResolvedImage
from deployer.values.plan import Plan
from deployer.values.resolved import Resolved
from deployer.values.transfers import FetchWeights
from deployer.values.weights import Listing, Place, WeightFile
from tests.support.planning import project_of
from tests.support.world import IDENTITY, World

SOURCE, ONE, TWO = "hf://org/name", "1" * 64, "2" * 64
URL = "https://hub.example/m.gguf"
BLOBS = "/var/lib/deployer/cache/hub/models--org--name/blobs"
NAME = "reg.example/llama:1"
PARTS = ImageContent("linux/amd64", Blob(f"sha256:{TWO}", 2), (Blob(f"sha256:{ONE}", 5),), (f"sha256:{ONE}",))
IMAGE = ResolvedImage(NAME, f"sha256:{TWO}", {"linux/amd64": PARTS}, pinned=True)
BUNDLE = Bundle("p", None, 7, "", "", "", BundledSpec(("deploy.yaml",), (), {}, "", {}))


def project(services: dict[str, Any] | None = None, **sections: Any) -> Project:
    models = {"m": {"source": SOURCE}}
    usual: dict[str, Any] = {"chat": {"image": NAME, "replicas": 2, "placement": {"max_per_host": 1}}}
    return project_of(services or usual, **{"models": models, **sections})


def planned(project: Project, url: str = URL, **about: Any) -> tuple[Plan, ObservedState]:
    file = WeightFile("m.gguf", 100, sha256=ONE, url=url, **about)
    listing = Listing(SOURCE, "main", "a" * 40, (file,))
    seen = World({"h1": 0, "h2": 0}).observe((), IDENTITY)
    known = ObservedState({name: replace(host, images=()) for name, host in seen.reachable.items()})
    images = {NAME: IMAGE} if any(host.fetch == "controller" for host in project.spec.hosts.values()) else {}
    return plan(project, known, Resolved(listings={f"{SOURCE}@": listing}, images=images)), known


def said(project: Project, **about: Any) -> set[str]:
    found, _ = planned(project, **about)
    assert not found.has_errors
    problems = [*outward(found, project.spec)]
    assert {problem.code for problem in problems} <= {"offline"}
    return {problem.message.removeprefix("`--offline`: ") for problem in problems}


def test_pulls_and_fetches_are_named_host_by_host() -> None:
    assert said(project()) == {
        f"host `{host}` would {what}"
        for host in ("h1", "h2")
        for what in (
            "pull `reg.example/llama:1` from registry `reg.example`",
            f"fetch `{SOURCE}` from `hub.example`",
        )
    }


@pytest.mark.parametrize("host", ["h2", "localhost", "127.0.0.1", "10.0.0.2"])
def test_what_stays_among_the_hosts_is_let_through(host: str) -> None:
    hosts: dict[str, Any] = {"h1": {}, "h2": {"address": "10.0.0.2"}}
    services = {"chat": {"image": f"{host}:5000/llama:1"}}
    assert said(project(services, hosts=hosts), url=f"http://{host}:8000/m.gguf") == set()


def test_every_place_that_a_file_may_come_from_counts() -> None:
    others = (Place("https://mirror.example/m.gguf", "hf"),)
    services = {"chat": {"image": "localhost:5000/llama:1", "placement": {"hosts": ["h1"]}}}
    assert said(project(services), url="http://h1/m.gguf", others=others) == {
        f"host `h1` would fetch `{SOURCE}` from `mirror.example`"
    }


def test_the_controller_is_named_where_it_is_the_one_that_fetches() -> None:
    found = brought(project())
    assert said(found) == {
        f"the controller would fetch `{SOURCE}` from `hub.example`",
        f"the controller would fetch `{NAME}` from registry `reg.example`",
    }
    assert said(found, url="/disk/blobs/m") == {f"the controller would fetch `{NAME}` from registry `reg.example`"}
    assert [*outward(planned(found, url="/disk/blobs/m")[0], found.spec, is_brought=True)] == []


def test_a_model_that_its_server_fetches_is_named() -> None:
    services = {"chat": {"backend": "ollama", "model": "q", "image": "localhost:5000/ollama:1", "replicas": 1}}
    models = {"q": {"source": "ollama://qwen3:8b"}}
    (message,) = said(project(services, models=models))
    assert message.startswith("replica `chat-0` would fetch `ollama://qwen3:8b` itself on host `h")


def test_a_bundle_is_to_hold_what_any_host_lacks() -> None:
    found, seen = planned(project())
    want = wanted(found, seen)
    assert [[file.path for file in model.files] for model in want.models] == [["m.gguf"]]
    assert want.images == {"reg.example/llama:1": frozenset({"x86_64"})}
    (id_,) = want.there
    assert want.there[id_] == frozenset()
    both = ObservedState({n: replace(h, folders={BLOBS: {ONE: (100, 1)}}) for n, h in seen.reachable.items()})
    assert wanted(found, both).there[id_] == {ONE}
    one = ObservedState({**both.hosts, "h2": seen.hosts["h2"]})
    assert wanted(found, one).there[id_] == frozenset()


def at_hand(bundle: Bundle, *there: str) -> AtHand:
    return AtHand(bundle, lambda sha256: sha256 in there)


def test_what_is_neither_in_the_bundle_nor_on_the_host_is_said_with_what_to_do() -> None:
    found, seen = planned(project(), url="")
    problems = [*lacking(found, seen, {}, at_hand(BUNDLE))]
    assert [(p.code, p.host, p.evidence) for p in problems] == [
        ("bundle-lacks", "h1", ("m.gguf",)), ("bundle-lacks", "h2", ("m.gguf",)),
    ]  # fmt: skip
    assert "--facts" in str(problems[0].hint)
    delta = replace(BUNDLE, elsewhere=(Content.blob(ONE, 100),), parent=Parent(6, TWO))
    assert "load bundle 6 first" in str(next(iter(lacking(found, seen, {}, at_hand(delta)))).hint)
    there = replace(seen.reachable["h1"], folders={BLOBS: {ONE: (100, 1)}})
    other = ObservedState({**seen.hosts, "h1": there})
    assert [p.host for p in lacking(found, other, {}, at_hand(BUNDLE))] == ["h2"]
    assert [*lacking(planned(project(), url="/disk/m")[0], seen, {}, at_hand(BUNDLE))] == []


def test_of_an_image_only_the_layers_count_that_the_host_lacks() -> None:
    found, seen = planned(brought(project()), url="/disk/m")
    problems = [*lacking(found, seen, {"h2": PARTS.diff_ids}, at_hand(BUNDLE, TWO))]
    assert [(p.host, p.evidence) for p in problems] == [("h1", (f"sha256:{ONE}",))]
    assert [*lacking(found, seen, {}, at_hand(BUNDLE, ONE, TWO))] == []


def test_a_bundle_is_brought_by_the_controller() -> None:
    found, _ = planned(brought(project()))
    assert {s.operation.by for s in found.steps if isinstance(s.operation, FetchWeights)} == {"controller"}
