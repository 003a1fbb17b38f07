"""The smaller parts: orders, selectors, differences of fields, where a replica answers."""

from __future__ import annotations

import base64
import json
from random import Random

import pytest

from deployer.planning.candidates import Candidates
from deployer.planning.claimorder import components
from deployer.planning.claims import gpu_uuids
from deployer.planning.fields import field_diffs
from deployer.planning.hosts import HostIndex, hosts_named
from deployer.planning.ledger import Ledger
from deployer.planning.local_images import is_there
from deployer.planning.questions import questions
from deployer.planning.steplist import StepList, in_order
from deployer.values.container import ContainerSpec, Mount, PortBinding, ShippedFile
from deployer.values.facts import HostFacts, ImageFact
from deployer.values.names import ReplicaKey
from deployer.values.operations import AwaitReady, Probe
from deployer.values.plan import FieldDiff, Step
from deployer.values.transfers import MakeDirectory
from tests.support.planning import MODEL, project_of
from tests.support.world import World
from tests.unit.planning.scene import CPU, Scene

A, B, C, D = (ReplicaKey(name, 0) for name in "abcd")


# --- orders ------------------------------------------------------------------------------------


def test_those_waited_for_come_first_and_circles_are_together() -> None:
    waits = {A: {B}, B: {C}, C: {B}, D: set[ReplicaKey]()}
    assert components({key: frozenset(others) for key, others in waits.items()}) == [(B, C), (A,), (D,)]


def test_long_chains_do_not_exhaust_the_stack() -> None:
    keys = [ReplicaKey("a", n) for n in range(5000)]
    waits = {key: frozenset({after}) for key, after in zip(keys, [*keys[1:], keys[0]], strict=True)}
    assert components(waits) == [tuple(keys)]


def step(id_: str, *needs: str) -> Step:
    return Step(id_, "h1", MakeDirectory(id_), needs)


def test_steps_come_after_what_they_need_and_otherwise_as_laid_out() -> None:
    found = in_order([step("c", "a", "b"), step("b"), step("a", "b"), step("d")])
    assert [s.id for s in found] == ["b", "d", "a", "c"]


def test_steps_that_wait_for_each_other_are_a_defect() -> None:
    with pytest.raises(ValueError, match="steps wait for each other: a, b"):
        in_order([step("a", "b"), step("b", "a"), step("c")])


def test_the_same_step_twice_is_told_apart_or_shared() -> None:
    steps = StepList()
    assert steps.shared("h1/x", "h1", MakeDirectory("/x"), "why") == steps.shared("h1/x", "h1", MakeDirectory("/x"), "")
    assert steps.steps["h1/x"].why == "why"
    assert [steps.add(step("a")), steps.add(step("a"))] == ["a", "a/"]


def ledgers(**gpus: int) -> dict[str, Ledger]:
    world = World(dict(gpus))
    return {name: Ledger(world.facts(name, ()), range(20000, 21000)) for name in gpus}


@pytest.mark.parametrize("spread", [True, False])
@pytest.mark.parametrize("wanted", [None, 0, 1, 2])
def test_candidates_are_what_sorting_all_hosts_each_time_would_give(spread: bool, wanted: int | None) -> None:
    """An oracle: the strategy written down as a sort."""
    chance = Random(7)
    hosts = ledgers(**{f"h{n}": chance.randint(0, 6) for n in range(12)})
    candidates, mine = Candidates(hosts.values(), spread, wanted), dict[str, int]()
    sign = 1 if spread else -1

    def order(ledger: Ledger) -> tuple[bool, int, int, int, str]:
        free = 0 if wanted == 0 else ledger.free
        no_gpu = wanted is None and free <= 0
        return (no_gpu, sign * mine.get(ledger.name, 0), sign * ledger.total, -sign * free, ledger.name)

    for index in range(60):
        need = 1 if wanted is None else wanted
        fitting = [ledger for ledger in hosts.values() if ledger.free >= need and chance.random() < 0.8]
        expected = min(fitting, key=order, default=None)
        found = candidates.first(mine, lambda ledger: ledger in fitting)  # noqa: B023
        assert found is expected
        if found is not None:
            free = [gpu.uuid for gpu in found.facts.gpus if gpu.uuid not in found.gpus]
            found.take(ReplicaKey("chat", index), tuple(free[:need]), 20000 + index)
            mine[found.name] = mine.get(found.name, 0) + 1
            candidates.changed(found.name)


# --- selectors and questions ---------------------------------------------------------------------


@pytest.mark.parametrize("selector", [None, {}, {"a": "1"}, {"a": "1", "b": "2"}, {"a": "9"}, ("h2", "g"), ("g", "x")])
def test_the_index_finds_what_the_plain_search_finds(selector: object) -> None:
    labels = {"h1": {"a": "1"}, "h2": {"a": "1", "b": "2"}, "h3": {"b": "2"}}
    spec = project_of({}, {n: {"labels": found} for n, found in labels.items()}, groups={"g": ["h3", "h1"]}).spec
    expected = hosts_named(spec, selector)  # type: ignore[arg-type]
    index = HostIndex(spec)
    assert index.named(selector) == index.named(selector) == expected  # type: ignore[arg-type]
    assert index.members(selector) == set(expected)  # type: ignore[arg-type]


def test_a_host_is_asked_for_what_its_services_need_there() -> None:
    services = {
        "chat": {"placement": {"hosts": ["h1"]}, "container": {"volumes": ["/data:/data", "named:/cache"]}},
        "api": {"placement": {"hosts": ["h2"]}, "options": {"lora": {"math": "/loras/${host.vars.x}", "b": "/l/b"}}},
    }
    found = questions(project_of(services, {"h1": {}, "h2": {"cache_dir": "/cache"}}))
    assert {name: set(paths) for name, paths in found.items()} == {
        "h1": {"/data", MODEL, "/var/lib/deployer/cache"},
        "h2": {"/cache", "/l/b", MODEL},
    }
    assert all(list(paths) == sorted(paths) for paths in found.values())


# --- claims, images -------------------------------------------------------------------------------


def test_gpus_by_index_uuid_and_all() -> None:
    facts = World({"h1": 2}).facts("h1", ())
    assert gpu_uuids(facts, ["1"]) == {"GPU-h1-1"}
    assert gpu_uuids(facts, ["GPU-h1-0", "9"]) == {"GPU-h1-0", "9"}
    assert gpu_uuids(facts, ["0", "all"]) == {"GPU-h1-0", "GPU-h1-1"}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("app:1", True),
        ("docker.io/library/app:1", True),
        ("app", False),
        ("app:latest", False),
        ("other", True),
        ("reg.local/app:1", False),
        ("reg.local/app@sha256:" + "a" * 64, True),
    ],
)
def test_whether_an_image_is_there(image: str, expected: bool) -> None:
    tags = ("app:1", "other:latest", "<none>:<none>")
    digests = ("reg.local/app@sha256:" + "a" * 64,)
    facts = World({"h1": 0}).facts("h1", ())
    seen = HostFacts(**{name: getattr(facts, name) for name in HostFacts.__slots__} | {
        "images": (ImageFact("sha256:1", tags, digests),)
    })  # fmt: skip
    assert is_there(seen, image) == expected


# --- differences ----------------------------------------------------------------------------------


def test_arguments_are_compared_by_flag() -> None:
    before = ContainerSpec("a:1", command=("serve", "--port", "80", "-v", "--x=1", "--gone", "g"))
    after = ContainerSpec("a:1", command=("serve", "--port", "81", "-v", "--x=2", "--new"))
    assert field_diffs(before, after) == (
        FieldDiff("command.--gone", "g", None),
        FieldDiff("command.--new", None, True),
        FieldDiff("command.--port", "80", "81"),
        FieldDiff("command.--x", "1", "2"),
    )


def test_a_flag_given_several_times_and_another_order() -> None:
    twice = ContainerSpec("a:1", command=("--lora", "a", "--lora", "b"))
    assert field_diffs(ContainerSpec("a:1", command=("--lora", "a")), twice) == (
        FieldDiff("command.--lora", "a", ["a", "b"]),
    )
    other = ContainerSpec("a:1", command=("-b", "--a"))
    assert field_diffs(ContainerSpec("a:1", command=("--a", "-b")), other) == (
        FieldDiff("command", "in another order", "in this order"),
    )
    assert field_diffs(other, other) == ()


def test_mounts_ports_and_files_are_compared_by_what_they_are_for() -> None:
    before = ContainerSpec("a:1", mounts=(Mount("/a", "/m"),), ports=(PortBinding(80, 8000),), env={"A": "1"})
    after = ContainerSpec(
        "a:2", mounts=(Mount("/b", "/m"),), ports=(PortBinding(80, 8001),), files={"/f": ShippedFile("eHg=")}
    )
    found = {diff.path: (diff.before, diff.after) for diff in field_diffs(before, after)}
    assert found["image"] == ("a:1", "a:2")
    assert found["mounts./m.source"] == ("/a", "/b")
    assert found["ports.80/tcp.host"] == (8000, 8001)
    assert found["env.A"] == ("1", None)
    (shipped,) = [after for path, (_, after) in found.items() if path.startswith("files")]
    assert "eHg=" not in str(shipped)


def shipped(text: str) -> ContainerSpec:
    return ContainerSpec("a:1", files={"/f": ShippedFile(base64.b64encode(text.encode()).decode())})


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, FieldDiff("files./f.data.a.b", 1, 2)),
        ({"a": 1}, {"a": 1, "c": "x"}, FieldDiff("files./f.data.c", None, "x")),
        (
            [{"name": "one", "n": 1}, {"name": "two", "n": 1}],
            [{"name": "one", "n": 1}, {"name": "two", "n": 2}],
            FieldDiff("files./f.data.two.n", 1, 2),
        ),
    ],
)
def test_json_in_files_is_compared_by_what_it_says(before: object, after: object, found: FieldDiff) -> None:
    assert field_diffs(shipped(json.dumps(before)), shipped(json.dumps(after))) == (found,)


DEEP = '{"a":' * 900 + "1" + "}" * 900


@pytest.mark.parametrize("text", ["not JSON", "[1, 2]", "3", "[" * 5000, DEEP, '{"a": NaN}'])
def test_other_files_are_compared_by_their_digest(text: str) -> None:
    found = {diff.path for diff in field_diffs(shipped(text), shipped(text + " "))}
    assert "files./f.digest" in found
    assert found <= {"files./f.digest", "files./f.data"}


def test_the_same_in_other_characters_is_a_difference_too() -> None:
    (found,) = field_diffs(shipped('{"a": 1}'), shipped('{"a":1}'))
    assert found.path == "files./f.digest"


# --- where it answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bind", "asked_at", "url"),
    [
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8001"),
        ("0.0.0.0", "127.0.0.1", "http://10.0.0.11:8001"),
        ("::", "::1", "http://10.0.0.11:8001"),
        ("10.1.1.1", "10.1.1.1", "http://10.1.1.1:8001"),
        ("fd00::7", "fd00::7", "http://[fd00::7]:8001"),
    ],
)
def test_where_a_replica_is_asked_and_where_clients_find_it(bind: str, asked_at: str, url: str) -> None:
    scene = Scene({"h1": 0}, {"h1": {"connection": "ssh", "address": "10.0.0.11"}})
    found = scene.plan({"chat": {"placement": CPU, "port": {"number": 8001, "bind": bind}}})
    waits = [s.operation for s in found.steps if isinstance(s.operation, AwaitReady | Probe)]
    assert {(w.endpoint.address, w.endpoint.port) for w in waits} == {(asked_at, 8001)}
    assert [p.url for p in found.placements] == [url]


def test_the_request_after_the_start() -> None:
    health = {"ready_timeout": "90s", "stall_timeout": "10s", "probe": {"prompt": "2+2", "expect": "4"}}
    options = {"api_key": {"secret": "key"}}
    wish = {"placement": CPU, "health": health, "options": options, "served_name": ["m", "default"]}
    found = Scene({"h1": 0}).plan({"chat": wish})
    (waits,) = [s.operation for s in found.steps if isinstance(s.operation, AwaitReady)]
    (probe,) = [s.operation for s in found.steps if isinstance(s.operation, Probe)]
    assert (waits.timeout, waits.stall_timeout, waits.path) == (90.0, 10.0, "/health")
    assert (probe.prompt, probe.expect, probe.models, probe.category) == ("2+2", "4", ("m", "default"), "llm")
    assert probe.endpoint.api_key == "key"
    assert probe.paths["chat"] == "/v1/chat/completions"
