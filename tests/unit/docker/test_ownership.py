"""What is ours, and every way not to be."""

from __future__ import annotations

import pytest

from deployer.docker.ownership import Identity, parse_recorded, recorded_of
from deployer.values.canonical import canonical_json, revision_of
from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec
from deployer.values.names import ReplicaKey
from deployer.values.secrets import SecretRef

SPEC = ContainerSpec("vllm/vllm-openai:v0.11.0", env={"HF_TOKEN": SecretRef("hf"), "A": "1"}, gpus=("GPU-1",))
REVISION = revision_of(to_data(SPEC))
NAME = f"lab_chat_1_{REVISION}"
LABELS = {
    "deployer.project": "lab",
    "deployer.id": "7f3a9c1e",
    "deployer.service": "chat",
    "deployer.replica": "1",
    "deployer.member": "0",
    "deployer.role": "replica",
    "deployer.revision": REVISION,
    "deployer.spec": canonical_json(to_data(SPEC)),
    "deployer.decisions": '{"port":20000,"gpus":["GPU-1"]}',
    "deployer.secrets": '{"hf":"scrypt:00"}',
    "deployer.version": "0.1.0",
    "deployer.apply": "a1",
}
OURS = Identity("lab", "7f3a9c1e")


def test_ours_with_all_that_was_recorded() -> None:
    found = recorded_of(NAME, LABELS, {}, OURS)
    assert found is not None
    assert (found.key, found.member, found.role) == (ReplicaKey("chat", 1), 0, "replica")
    assert found.spec == SPEC
    assert found.decisions == {"port": 20000, "gpus": ["GPU-1"]}
    assert found.secrets == {"hf": "scrypt:00"}
    assert (found.version, found.apply) == ("0.1.0", "a1")


def test_the_name_alone_counts_without_an_id() -> None:
    assert recorded_of(NAME, LABELS, {}, Identity("lab")) is not None


def test_a_container_that_makes_room_for_its_successor_is_ours_still() -> None:
    assert recorded_of(f"{NAME}.old", LABELS, {}, OURS) is not None


def test_tasks_are_ours_too() -> None:
    found = recorded_of(NAME, LABELS | {"deployer.role": "task"}, {}, OURS)
    assert found is not None
    assert found.role == "task"


@pytest.mark.parametrize(
    ("name", "labels", "identity"),
    [
        ("chat", LABELS, OURS),
        (f"{NAME}x", LABELS, OURS),
        (f"lab_chat_2_{REVISION}", LABELS, OURS),
        (NAME, LABELS, Identity("lab", "other")),
        (NAME, LABELS, Identity("other", "7f3a9c1e")),
        (NAME, LABELS | {"deployer.id": ""}, OURS),
        (NAME, {k: v for k, v in LABELS.items() if k != "deployer.project"}, OURS),
        (NAME, {k: v for k, v in LABELS.items() if k != "deployer.revision"}, OURS),
        (NAME, LABELS | {"deployer.role": "owner"}, OURS),
        (NAME, LABELS | {"deployer.replica": "one"}, OURS),
        (f"lab_chat_01_{REVISION}", LABELS | {"deployer.replica": "01"}, OURS),
        (NAME, LABELS | {"deployer.replica": "\N{SUPERSCRIPT ONE}"}, OURS),
        (f"lab_a/b_1_{REVISION}", LABELS | {"deployer.service": "a/b"}, OURS),
        (NAME, {}, OURS),
    ],
)
def test_not_ours(name: str, labels: dict[str, str], identity: Identity) -> None:
    assert recorded_of(name, labels, {}, identity) is None


def test_labels_of_the_image_prove_nothing() -> None:
    assert recorded_of(NAME, LABELS, LABELS, OURS) is None
    assert recorded_of(NAME, LABELS, None, OURS) is None
    inherited = {k: v for k, v in LABELS.items() if k != "deployer.apply"}
    for key in ("deployer.project", "deployer.id", "deployer.service", "deployer.replica", "deployer.revision"):
        assert recorded_of(NAME, inherited, {key: LABELS[key]}, OURS) is None, key


def test_a_container_of_an_image_committed_from_one_of_ours_is_told_by_its_apply() -> None:
    assert recorded_of(NAME, LABELS | {"deployer.apply": "a2"}, LABELS, OURS) is not None


def test_labels_of_the_image_that_are_not_ours_do_not_matter() -> None:
    assert recorded_of(NAME, LABELS, {"maintainer": "x", "deployer.version": "0.1.0"}, OURS) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        canonical_json(to_data(ContainerSpec("evil", privileged=True))),
        '{"image":"i","unknown":1}',
        "[" * 10_000,
    ],
)
def test_a_spec_that_is_not_the_revisions_is_no_spec(text: str) -> None:
    found = parse_recorded(LABELS | {"deployer.spec": text})
    assert found is not None
    assert found.spec is None


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "NaN"])
def test_broken_maps_are_empty(text: str) -> None:
    found = parse_recorded(LABELS | {"deployer.decisions": text, "deployer.secrets": text})
    assert found is not None
    assert (found.decisions, found.secrets) == ({}, {})
