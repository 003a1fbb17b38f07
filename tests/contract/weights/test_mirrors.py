"""Several sources of the same bytes: the next one is taken where one is gone, dies in the middle, or lies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.errors import OperationError
from deployer.spec.language import Host, Model
from deployer.transport.local import LocalTransport
from deployer.values.secrets import Secret
from deployer.values.weights import Listing, Manifest
from deployer.weights.access import Access
from deployer.weights.mirrors import list_mirrored
from deployer.weights.push import push
from deployer.weights.script import Job
from deployer.weights.transfer import fetch
from tests.support.hub import Hub, git_id, sha256
from tests.support.hub import hub as running_hub

BIG = random.Random(9).randbytes(400_000)
FILES = {"config.json": b"{}", "model.safetensors": BIG}
MODEL = Model.model_validate({"source": ["hf://org/name", "modelscope://org/name"]})


@pytest.fixture
def other() -> Iterator[Hub]:
    with running_hub() as made:
        yield made


@pytest.fixture
def transport() -> Iterator[LocalTransport]:
    made = LocalTransport("box", Host.model_validate({"connection": "local"}))
    yield made
    made.close()


def listed(hub: Hub, other: Hub) -> Listing:
    return list_mirrored(MODEL, {"hf": Access(hub.url), "modelscope": Access(other.url)})


def manifest(found: Listing) -> Manifest:
    return Manifest(found.source, found.revision, found.commit, found.files, found.origin)


def job(hub: Hub, other: Hub, cache: Path) -> Job:
    tokens = {"hf": Secret("hf_token"), "modelscope": Secret("ms_token")}
    return Job(str(cache), manifest(listed(hub, other)), tokens, stall=1, tries=1)


def is_whole(cache: Path, wanted: Manifest) -> None:
    snapshot = cache / wanted.snapshot
    assert {p.name: p.read_bytes() for p in snapshot.iterdir()} == FILES


def silent(word: str, count: int) -> None:
    pass


def test_the_first_says_what_there_is_and_the_other_where_else(hub: Hub, other: Hub) -> None:
    hub.repo("org/name", FILES)
    other.repo("org/name", {**FILES, "config.json": b"[]"})
    config, large = listed(hub, other).files
    assert (config.git, len(config.others)) == (git_id(b"{}"), 1), "of one size, and no hash that both say"
    assert large.sha256 == sha256(BIG)
    assert [place.hub for place in large.others] == ["modelscope"]


def test_where_the_first_is_gone_the_other_speaks_under_its_name(hub: Hub, other: Hub) -> None:
    other.repo("org/name", FILES)
    found = listed(hub, other)
    assert (found.source, found.origin) == ("hf://org/name", "modelscope://org/name")
    assert manifest(found).folder == "hub/models--org--name"
    assert manifest(found).hub == "modelscope"


def test_where_none_answers_the_first_is_blamed(hub: Hub, other: Hub) -> None:
    with pytest.raises(OperationError) as caught:
        listed(hub, other)
    assert "`hf://org/name`" in caught.value.diagnostic.message


@pytest.mark.parametrize("fault", ["dies", "lies", "stalls", "forgets"])
def test_the_next_one_is_taken(hub: Hub, other: Hub, transport: LocalTransport, tmp_path: Path, fault: str) -> None:
    hub.repo("org/name", FILES)
    other.repo("org/name", FILES)
    wanted = job(hub, other, tmp_path)
    if fault == "lies":
        hub.faults.flip.add("model.safetensors")
    elif fault == "stalls":
        hub.faults.stall.add("model.safetensors")
    elif fault == "forgets":
        hub.repos.clear()
    else:
        hub.faults.drop_after, hub.faults.drops = 100_000, 1
        hub.faults.dies_after_drop = True
    fetch(transport, wanted, silent)
    is_whole(tmp_path, wanted.manifest)
    assert other.served["model.safetensors"] > 0
    if fault == "dies":
        assert hub.total + other.total <= len(BIG) + 2 + 100_000, "it goes on in the middle of the file"
    hub.faults.stall.clear()
    assert {token for _, token in hub.tokens} <= {"Bearer hf_token"}
    assert {token for _, token in other.tokens} == {"Bearer ms_token"}


def test_a_push_goes_on_with_the_next_one_too(hub: Hub, other: Hub, transport: LocalTransport, tmp_path: Path) -> None:
    hub.repo("org/name", FILES)
    other.repo("org/name", FILES)
    wanted = job(hub, other, tmp_path)
    hub.faults.drop_after, hub.faults.drops, hub.faults.dies_after_drop = 100_000, 1, True
    push(transport, wanted, silent)
    is_whole(tmp_path, wanted.manifest)
    assert other.served["model.safetensors"] > 0
