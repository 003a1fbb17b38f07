"""The codec: what is written is read again, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.values.canonical import revision_of
from deployer.values.codec import from_data, parse_json, to_data
from deployer.values.container import ContainerSpec, Mount, PortBinding, SecretFile, ShippedFile, Ulimit
from deployer.values.facts import HostFacts, ObservedState
from deployer.values.operations import CreateContainer
from deployer.values.plan import Step
from deployer.values.secrets import Secret, SecretRef
from deployer.values.transfers import PullImage

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
specs = st.builds(ContainerSpec, extra=st.dictionaries(st.text(), json_values, max_size=3))


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Round:
    radius: float
    kind: Literal["round"] = "round"


@dataclass(frozen=True, slots=True)
class Square:
    side: int
    kind: Literal["square"] = "square"


@dataclass(frozen=True, slots=True)
class Picture:
    shapes: tuple[Round | Square, ...]
    colour: Colour = Colour.RED
    frame: tuple[int, str] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@given(specs)
def test_a_container_survives_json(spec: ContainerSpec) -> None:
    assert from_data(ContainerSpec, json.loads(json.dumps(to_data(spec)))) == spec
    assert from_data(ContainerSpec, to_data(spec, defaults=True)) == spec


@given(st.builds(Picture, notes=st.dictionaries(st.text(), json_values, max_size=2)))
def test_unions_are_read_by_their_tag(picture: Picture) -> None:
    assert from_data(Picture, to_data(picture)) == picture


@settings(max_examples=25)
@given(
    st.builds(
        ObservedState,
        hosts=st.dictionaries(st.text(), st.builds(HostFacts, containers=st.just(())), max_size=2),
    )
)
def test_observations_survive(state: ObservedState) -> None:
    assert from_data(ObservedState, json.loads(json.dumps(to_data(state, defaults=True)))) == state


def test_operations_are_read_as_what_they_were() -> None:
    spec = ContainerSpec("i:1", env={"A": "b", "K": SecretRef("key")}, files={"/x": ShippedFile("aGk=")})
    for operation in (PullImage("a", "docker.io"), CreateContainer("n", spec, {"l": "v"})):
        step = Step("s", "h", operation)
        assert from_data(Step, to_data(step)) == step


def test_defaults_are_left_out_so_that_a_new_field_moves_no_revision() -> None:
    assert to_data(ContainerSpec("i:1")) == {"image": "i:1"}
    assert to_data(PortBinding(80, 8080)) == {"container": 80, "host": 8080}
    assert revision_of(to_data(ContainerSpec("i:1"))) == revision_of({"image": "i:1"})


def test_a_secret_is_a_reference_in_json_and_a_value_never() -> None:
    assert to_data(SecretRef("key")) == {"secret": "key"}
    assert to_data(SecretFile(SecretRef("key"))) == {"secret": {"secret": "key"}}
    with pytest.raises(ValueError, match="Secret has no place in JSON") as caught:
        to_data({"k": Secret("hunter2")})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (ContainerSpec, {"image": "i", "imagee": 1}, "imagee: unknown key"),
        (ContainerSpec, {}, "`image` is missing"),
        (ContainerSpec, {"image": 3}, "image: `3` is not text"),
        (ContainerSpec, {"image": "i", "privileged": 1}, "privileged: `1` is not true or false"),
        (ContainerSpec, {"image": "i", "shm_size": True}, "shm_size: `True` is not a whole number"),
        (ContainerSpec, {"image": "i", "mounts": [{"source": "/a"}]}, r"mounts\[0\]: `target` is missing"),
        (ContainerSpec, {"image": "i", "ports": [{"container": 1, "host": "x"}]}, r"ports\[0\]\.host: `x` is not"),
        (ContainerSpec, {"image": "i", "env": {"A": {"secret": 1}}}, r"env\.A\.secret: `1` is not text"),
        (ContainerSpec, {"image": "i", "env": {"A": {"hidden": "x"}}}, r"env\.A\.hidden: unknown key"),
        (ContainerSpec, {"image": "i", "env": []}, "env: a list is not an object"),
        (ContainerSpec, [], "a list is not an object"),
        (PortBinding, {"container": True, "host": 1}, "container: `True` is not a whole number"),
        (Mount, {"source": "a", "target": "b", "kind": "tmpfs"}, "kind: `tmpfs` is none of bind, volume"),
        (Picture, {"shapes": [{"kind": "oval"}]}, "is not Round or Square"),
        (Picture, {"shapes": [], "frame": [1, "a", 2]}, "a list of 3, not of 2"),
        (Picture, {"shapes": [], "colour": "blue"}, "colour: `blue` is none of red"),
        (Picture, {"shapes": [], "notes": {"a": {1: 2}}}, "a key is text"),
    ],
)
def test_what_does_not_fit_is_named(kind: type, data: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_data(kind, data)


def test_numbers_keep_their_kind() -> None:
    assert from_data(ContainerSpec, {"image": "i", "cpus": 2}).cpus == 2.0
    assert from_data(ContainerSpec, {"image": "i", "ulimits": {"memlock": {"soft": -1, "hard": -1}}}).ulimits == {
        "memlock": Ulimit(-1, -1)
    }


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":1,"a":2}', "NaN", "1" * 5000, "", "x" * 5001, b"\xff\xfe{}"])
def test_hostile_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text, 200_000 if text[:1] == "[" else 5000)


def test_depth_of_free_data_is_bounded() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        from_data(ContainerSpec, {"image": "i", "extra": {"a": deep}})


@given(json_values)
def test_any_data_reads_or_raises_value_error(data: object) -> None:
    for kind in (ContainerSpec, Step, HostFacts, Picture):
        try:
            from_data(kind, data)
        except ValueError:
            continue
