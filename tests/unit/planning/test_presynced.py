"""Copies of models that were on a host before deployer: used in place, read once, never written, and seen to change."""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field, replace
from typing import Any

import pytest

from deployer.planning.found import with_found
from deployer.planning.planner import plan as planned
from deployer.planning.presynced import layouts, places_asked
from deployer.spec.project import Project
from deployer.values.facts import ObservedState
from deployer.values.facts_json import facts_from_data, facts_to_data
from deployer.values.operations import CreateContainer
from deployer.values.plan import Action, Plan
from deployer.values.presynced import OUTSIDE, Copy, ReadFile, Stamp
from deployer.values.resolved import Resolved, Unresolved
from deployer.values.transfers import CheckCopy, FetchWeights
from deployer.values.weights import Listing, WeightFile
from tests.support.planning import errors_of, project_of
from tests.support.walk import Walk
from tests.support.world import World

SOURCE = "hf://org/name"
FIRST, SECOND = "a" * 40, "b" * 40
CACHE = "/var/lib/deployer/cache"
HUB, PLAIN = "/data/hub/models--org--name", "/data/org/name"
BIG, CONFIG = "model.safetensors", "config.json"
FILES = (WeightFile(CONFIG, 10, git="3" * 40), WeightFile(BIG, 500, sha256="4" * 64))
READ = {CONFIG: ReadFile(Stamp(10, 1, 1), "5" * 64, "3" * 40), BIG: ReadFile(Stamp(500, 1, 2), "4" * 64)}
STAMPS = {path: read.stamp for path, read in READ.items()}
GONE = Unresolved("the hub does not answer", "look at the network")


def snapshot(commit: str = FIRST) -> Copy:
    return Copy(HUB, HUB, commit, STAMPS, {}, {"main": commit}, ("LlamaForCausalLM",))


def plain(files: dict[str, Stamp] | None = None, read: dict[str, ReadFile] | None = None) -> Copy:
    return Copy(PLAIN, PLAIN, "", STAMPS if files is None else files, read or {}, {}, ("LlamaForCausalLM",))


def listing(commit: str = FIRST, **about: Any) -> Listing:
    return Listing(SOURCE, "main", commit, FILES, ("LlamaForCausalLM",), **about)


@dataclass
class Hosts:
    """`copies` by host, as they are at first; `found`: what the hub says, or why it does not."""

    copies: InitVar[dict[str, tuple[Copy, ...]]]
    found: Listing | Unresolved = field(default_factory=listing)
    world: World = field(default_factory=lambda: World({"h1": 0}))

    def __post_init__(self, copies: dict[str, tuple[Copy, ...]]) -> None:
        self.world.copies |= copies

    def project(self, **model: Any) -> Project:
        services = {"chat": {"backend": "vllm", "image": "vllm/vllm:v0.11.0", "placement": {"gpus": "none"}}}
        hosts: dict[str, Any] = {name: {"model_dirs": ["/data/hub", "/data"]} for name in self.world.gpus}
        return project_of(services, hosts, models={"m": {"source": SOURCE, **model}})

    def plan(self, **model: Any) -> Plan:
        project = self.project(**model)
        facts = self.world.observe(set()).reachable
        said: dict[str, Listing | Unresolved] = {f"{SOURCE}@{model.get('revision', '')}": self.found}
        return planned(project, ObservedState(facts), Resolved(listings=with_found(project, said, facts)))

    def apply(self) -> Plan:
        found = self.plan()
        assert errors_of(found) == []
        assert not Walk(self.world, found.steps).run().failed
        return found


def checks(plan: Plan) -> list[CheckCopy]:
    return [step.operation for step in plan.steps if isinstance(step.operation, CheckCopy)]


def mount_of(plan: Plan) -> tuple[str, str, str]:
    spec = next(s.operation.spec for s in plan.steps if isinstance(s.operation, CreateContainer))
    (mount,) = [mount for mount in spec.mounts if mount.target.startswith("/models")]
    assert mount.read_only
    return mount.source, mount.target, spec.command[1]


def said(plan: Plan, code: str) -> list[str]:
    return [problem.message for problem in plan.problems if problem.code == code]


def test_a_snapshot_of_the_hubs_cache_is_read_once_and_used_in_place() -> None:
    hosts = Hosts({"h1": (snapshot(),)})
    plan = hosts.apply()
    (step,) = [step for step in plan.steps if isinstance(step.operation, CheckCopy)]
    assert (step.bytes, step.operation.root, step.operation.folder) == (510, HUB, f"{HUB}/snapshots/{FIRST}")  # type: ignore[union-attr]
    assert not [step for step in plan.steps if isinstance(step.operation, FetchWeights)]
    assert mount_of(plan) == (HUB, "/models/models--org--name", f"/models/models--org--name/snapshots/{FIRST}")
    create = next(step for step in plan.steps if isinstance(step.operation, CreateContainer))
    assert step.id in create.needs
    assert hosts.plan().is_empty


def test_a_plain_folder_is_mounted_under_its_own_name() -> None:
    plan = Hosts({"h1": (plain(),)}).plan()
    assert mount_of(plan) == (PLAIN, "/models/name", "/models/name")


def test_what_was_read_is_not_read_again() -> None:
    plan = Hosts({"h1": (plain(read=READ),)}).plan()
    assert checks(plan) == []
    assert mount_of(plan)[0] == PLAIN
    half = Hosts({"h1": (plain(read={BIG: READ[BIG]}),)}).plan()
    assert [step.bytes for step in half.steps if isinstance(step.operation, CheckCopy)] == [10]


@pytest.mark.parametrize(
    ("copy", "why"),
    [
        (plain({BIG: STAMPS[BIG]}), "it lacks `config.json`"),
        (plain({**STAMPS, BIG: Stamp(499, 1, 2)}), "`model.safetensors` has 499 bytes, not 500"),
        (snapshot(SECOND), "it is of commit bbbbbbbbbbbb, not aaaaaaaaaaaa"),
        (
            plain(read={**READ, BIG: ReadFile(STAMPS[BIG], "9" * 64)}),
            "`model.safetensors` has other content than its source",
        ),
        (
            plain(read={**READ, CONFIG: ReadFile(STAMPS[CONFIG], "5" * 64, "9" * 40)}),
            "`config.json` has other content than its source",
        ),
        (
            plain(read={**READ, BIG: ReadFile(STAMPS[BIG], OUTSIDE)}),
            f"`model.safetensors` is a link that leads out of `{PLAIN}`",
        ),
        (
            plain({**STAMPS, "modeling_evil.py": Stamp(1, 1, 3)}),
            "it has the program `modeling_evil.py`, which is none of the model's files",
        ),
    ],
)
def test_a_copy_that_is_not_the_model_is_said_and_fetched_anew(copy: Copy, why: str) -> None:
    plan = Hosts({"h1": (copy,)}).plan()
    assert checks(plan) == []
    (fetch,) = [step for step in plan.steps if isinstance(step.operation, FetchWeights)]
    assert fetch.bytes == 510
    assert mount_of(plan)[0] == f"{CACHE}/hub/models--org--name"
    assert said(plan, "copy-refused") == [f"the copy of {SOURCE} in `{copy.folder}` on host `h1` is not used: {why}"]


def test_a_copy_of_another_commit_can_be_asked_for() -> None:
    (problem,) = [p for p in Hosts({"h1": (snapshot(SECOND),)}).plan().problems if p.code == "copy-refused"]
    assert f"`revision: {SECOND}` of the model would use the copy" in (problem.hint or "")
    hosts = Hosts({"h1": (snapshot(SECOND),)}, listing(SECOND, pinned=True))
    assert mount_of(hosts.plan(revision=SECOND))[0] == HUB


def test_a_copy_that_was_read_goes_before_one_that_was_not() -> None:
    assert mount_of(Hosts({"h1": (snapshot(), plain(read=READ))}).plan())[0] == PLAIN
    assert mount_of(Hosts({"h1": (plain(), snapshot())}).plan())[0] == HUB, "else in the order of `model_dirs`"


def test_what_is_whole_in_the_cache_stays_in_use() -> None:
    hosts = Hosts({})
    hosts.apply()
    hosts.world.copies = {"h1": (plain(read=READ),)}
    assert hosts.plan().is_empty
    hosts.found = listing(pinned=True)
    assert hosts.plan().is_empty


def test_a_copy_in_use_stays_in_use_when_the_cache_gets_the_model_too() -> None:
    hosts = Hosts({"h1": (plain(),)}, listing(pinned=True))
    hosts.apply()
    elsewhere = Hosts({}, listing(pinned=True)).apply()
    fetch = next(s.operation for s in elsewhere.steps if isinstance(s.operation, FetchWeights))
    hosts.world.weights["h1"] = {fetch.manifest.id: fetch}
    assert hosts.plan().is_empty


def test_a_branch_that_moved_leaves_a_copy_in_use() -> None:
    hosts = Hosts({"h1": (snapshot(),)})
    hosts.apply()
    hosts.found = listing(SECOND)
    assert hosts.plan().is_empty
    hosts.found = GONE
    assert hosts.plan().is_empty
    hosts.found = listing(SECOND, pinned=True)
    assert [change.action for change in hosts.plan().changes] == [Action.REPLACE]


def test_a_change_under_our_feet_is_seen() -> None:
    hosts = Hosts({"h1": (plain(),)})
    hosts.apply()
    (copy,) = hosts.world.copies["h1"]
    touched = replace(copy, files={**STAMPS, BIG: Stamp(500, 9, 2)})
    hosts.world.copies = {"h1": (touched,)}
    plan = hosts.plan()
    assert plan.is_empty
    (problem,) = [p for p in plan.problems if p.code == "copy-changed"]
    assert (problem.message, problem.evidence) == (
        f"the copy in `{PLAIN}` on host `h1` changed since it was read",
        (BIG,),
    )
    assert "cache verify h1" in (problem.hint or "")
    for box in hosts.world.all_boxes:
        box.status = "exited"
    again = hosts.plan()
    assert [step.bytes for step in again.steps if isinstance(step.operation, CheckCopy)] == [500]
    hosts.world.copies = {"h1": (replace(copy, files={CONFIG: STAMPS[CONFIG]}),)}
    gone = hosts.plan()
    assert [change.action for change in gone.changes] == [Action.REPLACE]
    assert mount_of(gone)[0] == f"{CACHE}/hub/models--org--name"


@pytest.mark.parametrize("copy", [plain(), snapshot()])
def test_without_a_hub_a_copy_is_taken_as_it_lies_there(copy: Copy) -> None:
    hosts = Hosts({"h1": (copy,)}, GONE)
    plan = hosts.apply()
    assert [step.bytes for step in plan.steps if isinstance(step.operation, CheckCopy)] == [510]
    assert mount_of(plan)[0] == copy.root
    assert said(plan, "weights-unchecked") == [
        f"{SOURCE} is used as it lies in `{copy.root}` on `h1`: not checked against a hub"
    ]
    assert hosts.plan().is_empty


def test_without_a_hub_all_hosts_are_given_the_same_files() -> None:
    other = plain({**STAMPS, BIG: Stamp(600, 1, 2)})
    hosts = Hosts({"h1": (plain(),), "h2": (other,)}, GONE, World({"h1": 0, "h2": 0}))
    plan = hosts.plan()
    assert {step.host for step in plan.steps} == {"h1"}


@pytest.mark.parametrize("copy", [plain({}), plain({"model-00001-of-00002.safetensors": Stamp(1, 1, 1)})])
def test_without_a_hub_what_is_not_whole_is_not_taken(copy: Copy) -> None:
    plan = Hosts({"h1": (copy,)}, GONE).plan()
    assert errors_of(plan) == ["weights-unresolved"]


def test_without_a_hub_a_snapshot_must_be_of_the_revision() -> None:
    assert errors_of(Hosts({"h1": (snapshot(),)}, GONE).plan(revision="v2")) == ["weights-unresolved"]
    assert errors_of(Hosts({"h1": (snapshot(),)}, GONE).plan(revision=FIRST)) == []


def test_where_copies_are_looked_for() -> None:
    project = Hosts({}).project()
    model, host = project.spec.models["m"], project.spec.hosts["h1"]
    places = places_asked(host.model_copy(update={"model_dirs": ("~/hub", "/data/")}), [model])
    assert {"~/hub/models--org--name", "/data/org/name", "/data/hub/models--org--name", "/data/name"} < {*places}
    assert {"Qwen/Qwen2___5-0___5B", "hub/models/Qwen/Qwen2___5-0___5B"} < {*layouts("Qwen/Qwen2.5-0.5B")}
    evil = model.model_copy(update={"source": ("hf://../../etc",)})
    assert places_asked(host, [evil]) == ()


def test_facts_with_copies_are_read_back() -> None:
    facts = replace(World({"h1": 0}).facts("h1", ()), copies=(snapshot(), plain(read=READ)))
    state = ObservedState({"h1": facts})
    assert facts_from_data(facts_to_data(state)) == state
