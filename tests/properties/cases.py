"""Random projects and worlds for the laws of plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from deployer.planning.planner import plan_destroy
from deployer.spec.project import Project
from deployer.values.plan import Plan
from deployer.values.resolved import Resolved
from tests.support.planning import plan_for, project_of
from tests.support.world import World

SERVICES = ("api", "chat", "docs")
HOSTS = ("h1", "h2")


@dataclass(frozen=True)
class Planner:
    """What the laws are about: how plans are made."""

    plan: Callable[[Project, World, Resolved], Plan] = plan_for
    destroy: Callable[[Project, World], Plan] = lambda project, world: plan_destroy(project, world.observe())


@dataclass(frozen=True)
class Wish:
    """What somebody asks for: services, the rack of each host, and the value of the one secret."""

    services: dict[str, dict[str, Any]]
    racks: dict[str, str]
    secret: str

    def project(self, order: Random | None = None) -> Project:
        names, hosts = list(self.services), list(HOSTS)
        if order is not None:
            order.shuffle(names)
            order.shuffle(hosts)
        return project_of(
            {name: self.services[name] for name in names},
            {name: {"labels": {"rack": self.racks[name]}} for name in hosts},
            secrets={"key": {"env": "KEY"}},
        )

    @property
    def resolved(self) -> Resolved:
        return Resolved({"key": f"scrypt:{self.secret}"})


@dataclass(frozen=True)
class Case:
    """A world, what is asked for one after the other, and a seed for whatever else happens by chance."""

    gpus: dict[str, int]
    foreign_ports: dict[str, set[int]]
    foreign_gpus: dict[str, set[int]]
    before: Wish
    after: Wish
    seed: int

    def world(self) -> World:
        return World(dict(self.gpus), dict(self.foreign_ports), dict(self.foreign_gpus))

    def chance(self) -> Random:
        return Random(self.seed)


def rarely(value: Any, common: Any = None) -> st.SearchStrategy[Any]:
    return st.sampled_from([common, common, common, common, value])


placements = st.fixed_dictionaries(
    {
        "gpus": st.sampled_from(["none", "none", 1, 1, 2, "auto"]),
        "strategy": st.sampled_from(["spread", "binpack"]),
        "hosts": st.sampled_from([None, None, None, ["h1"], ["h2"], {"rack": "r1"}]),
        "max_per_host": st.sampled_from([None, None, None, 1, 2]),
    }
)
pools = st.sampled_from([["h1:0", "h2:0"], ["h1:1", "h1:0", "h2:1"]]).map(lambda pool: {"gpus": pool})
lists = st.permutations([["h1:0"], ["h1:1"], ["h2:0"], ["h2:1"]]).map(lambda gpus: {"gpus": gpus})
ports = st.sampled_from([8001, 8002, 8003]).flatmap(
    lambda number: st.sampled_from([{"number": number}, {"number": number}, {"number": number, "on_conflict": "next"}])
)
rollouts = st.fixed_dictionaries(
    {
        "max_unavailable": st.sampled_from([1, 1, 1, 2, 2, 0]),
        "keep_revisions": st.integers(0, 2),
        "strategy": st.sampled_from(["rolling", "rolling", "rolling", "recreate", "canary"]),
        "on_failure": rarely("stop", "rollback"),
    }
)
containers = st.fixed_dictionaries(
    {"restart": st.sampled_from(["always", "always", "unless-stopped", "no"]), "network": rarely("host", "bridge")}
)
services = st.fixed_dictionaries(
    {
        "replicas": st.integers(0, 3),
        "options": st.fixed_dictionaries({"context_length": st.sampled_from([1024, 2048, 4096])}),
        "placement": st.one_of(placements, placements, placements, pools, lists),
        "port": st.one_of(st.none(), st.none(), ports),
        "rollout": rollouts,
        "container": containers,
        "state": rarely("stopped", "running"),
        "env": st.sampled_from([{}, {}, {"KEY": {"secret": "key"}}]),
    }
)


def sharing(service: dict[str, Any], size: str | None) -> dict[str, Any]:
    """The same on GPUs that others may be on, with so much memory of each; None: on GPUs of its own."""
    options = {"context_length": service["options"]["context_length"]} | ({"gpu_memory": size} if size else {})
    return {**service, "options": options, "placement": {**service["placement"], "share": size is not None}}


def tamed(service: dict[str, Any]) -> dict[str, Any]:
    """As many replicas as there may be room for: most cases are to have a plan."""
    placement, port = service["placement"], service["port"] or {}
    one_host = 1 if placement.get("hosts") is not None else 2
    most = 3 if placement["gpus"] in ("none", "auto", 1) else 2
    if "number" in port and "on_conflict" not in port:
        most = min(most, one_host)
    most = min(most, one_host * (placement.get("max_per_host") or most))
    return {**service, "replicas": min(service["replicas"], most)}


sizes = st.sampled_from([None, None, "25g", "45g"])
secrets = st.sampled_from(["one", "two"])
each = st.builds(sharing, services.map(tamed), sizes)
wishes = st.builds(
    Wish,
    st.dictionaries(st.sampled_from(SERVICES), each, min_size=1, max_size=3),
    st.fixed_dictionaries({host: st.sampled_from(["r1", "r1", "r2"]) for host in HOSTS}),
    secrets,
)


@st.composite
def edits(draw: st.DrawFn, before: Wish) -> Wish:
    """Somebody edits some keys of some services, or writes it all anew."""
    if draw(st.booleans()):
        return draw(wishes)
    found = dict(before.services)
    for name in before.services:
        for key, new in draw(services).items():
            if draw(rarely(True, False)):
                size = found[name]["options"].get("gpu_memory") if draw(st.booleans()) else draw(sizes)
                found[name] = sharing(tamed({**found[name], key: new}), size)
    if len(found) > 1 and draw(rarely(True, False)):
        del found[draw(st.sampled_from(sorted(found)))]
    secret = draw(rarely("three", before.secret))
    return Wish(found, draw(rarely({"h1": "r2", "h2": "r1"}, before.racks)), secret)


@st.composite
def make_cases(draw: st.DrawFn) -> Case:
    before = draw(wishes)
    return Case(
        gpus={host: draw(st.sampled_from([4, 3, 2, 0])) for host in HOSTS},
        foreign_ports={"h1": draw(rarely({8001, 20000}, {20000}))},
        foreign_gpus={"h2": draw(rarely({0}, set()))},
        before=before,
        after=draw(edits(before)),
        seed=draw(st.integers(0, 1 << 30)),
    )


cases = make_cases()

# --- few GPUs, which most services share ---------------------------------------------------

crowded = st.fixed_dictionaries(
    {
        "replicas": st.sampled_from([1, 1, 2, 3]),
        "options": st.fixed_dictionaries({"context_length": st.sampled_from([1024, 2048])}),
        "placement": st.fixed_dictionaries(
            {
                "gpus": st.sampled_from([1, 1, ["h1:0"], ["h1:0", "h1:1"], ["h2:0", "h1:0"]]),
                "strategy": st.sampled_from(["spread", "binpack"]),
            }
        ),
        "port": rarely({"number": 8001}),
        "rollout": st.fixed_dictionaries(
            {
                "max_unavailable": st.sampled_from([1, 1, 2, 0]),
                "keep_revisions": st.integers(0, 1),
                "strategy": st.sampled_from(["rolling", "rolling", "rolling", "recreate", "canary"]),
                "on_failure": st.just("rollback"),
            }
        ),
        "container": st.fixed_dictionaries({"restart": rarely("no", "always"), "network": st.just("bridge")}),
        "state": rarely("stopped", "running"),
        "env": st.just({}),
    }
)
crowds = st.builds(sharing, crowded, st.sampled_from([None, "20g", "25g", "25g", "45g"]))


@st.composite
def make_crowded_cases(draw: st.DrawFn) -> Case:
    before = draw(st.dictionaries(st.sampled_from(SERVICES), crowds, min_size=1, max_size=3))
    after = dict(before)
    for name in before:
        new, kind = draw(crowds), draw(st.sampled_from(["", "anew", "context", "size", "replicas", "gone"]))
        size = new["options"].get("gpu_memory")
        match kind:
            case "anew":
                after[name] = new
            case "context":
                after[name] = {**before[name], "options": {**before[name]["options"], "context_length": 4096}}
            case "size":
                after[name] = sharing(before[name], size)
            case "replicas":
                after[name] = {**before[name], "replicas": new["replicas"]}
            case "gone" if len(after) > 1:
                del after[name]
    racks = dict.fromkeys(HOSTS, "r1")
    gpus = {"h1": draw(st.sampled_from([2, 1, 3])), "h2": draw(st.integers(0, 1))}
    seed = draw(st.integers(0, 1 << 30))
    return Case(gpus, {}, {}, Wish(before, racks, "one"), Wish(after, racks, draw(secrets)), seed)


crowded_cases = make_crowded_cases()
