"""Headers of safetensors files and the index, also where they are cut, lie, or are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.formats.numbers import FormatError
from deployer.formats.safetensors import MAX_HEADER, parse_header, parse_header_length, parse_index
from deployer.values.model_weights import Tensor
from tests.unit.formats.complaints import complaint_of


def header(**tensors: Any) -> bytes:
    return json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_tensors_and_their_sizes() -> None:
    found = parse_header(
        header(a=entry("BF16", [4, 8], 0, 64), b=entry("F8_E4M3", [10], 64, 74), c=entry("F4", [3], 0, 1))
    )
    assert found == (Tensor("a", "BF16", (4, 8), 64), Tensor("b", "F8_E4M3", (10,), 10), Tensor("c", "F4", (3,), 1))


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (entry("BF16", [4], 0, 9), "tensor `a` has 9 bytes, which is not what its shape needs"),
        (entry("BF16", [4], 9, 1), "tensor `a` has -8 bytes, which is not what its shape needs"),
        (entry("BF16", [2**60, 2**60], 0, 2**64), "its header describes tensor `a` badly"),
        (entry("BF16", [-4], 0, 8), "its header describes tensor `a` badly"),
        (entry("BF99", [4], 0, 8), "tensor `a` has the unknown type 'BF99'"),
        ({"dtype": ["x"], "shape": [1], "data_offsets": [0, 1]}, "tensor `a` has the unknown type ['x']"),
        ({"dtype": "BF16"}, "its header describes tensor `a` badly"),
        ("BF16", "its header describes tensor `a` badly"),
    ],
)
def test_a_lie_is_an_error(said: Any, complaint: str) -> None:
    with pytest.raises(FormatError) as error:
        parse_header(header(a=said))
    assert str(error.value) == complaint


def test_the_length_of_a_header() -> None:
    assert parse_header_length((1234).to_bytes(8, "little")) == 1234
    for first in (b"", b"short", (2**64 - 1).to_bytes(8, "little"), bytes(8), b"<!DOCTYP", b"version "):
        with pytest.raises(FormatError):
            parse_header_length(first)
    assert MAX_HEADER < 2**26


def test_the_index() -> None:
    said = {
        "metadata": {"total_size": 99},
        "weight_map": {"x": "m-2.safetensors", "y": "m-1.safetensors", "z": "m-1.safetensors"},
    }
    found = parse_index(json.dumps(said).encode())
    assert (found.files, found.total) == (("m-1.safetensors", "m-2.safetensors"), 99)


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/x.safetensors", "a.bin", ""])
def test_an_index_leads_nowhere_else(file: str) -> None:
    with pytest.raises(FormatError, match="the index names the file"):
        parse_index(json.dumps({"weight_map": {"x": file}}).encode())


@pytest.mark.parametrize("said", [b"", b"<html>", b"[]", b"{}", b'{"weight_map": [1]}', b"[" * 100_000, b"9" * 10_000])
def test_what_is_no_index(said: bytes) -> None:
    with pytest.raises(FormatError):
        parse_index(said)


KEYS = ["dtype", "shape", "data_offsets"]
VALUES = st.recursive(
    st.sampled_from([None, True, 0, -1, 2**64, 1e308, "BF16", "x", "m.safetensors"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["a", "__metadata__", "weight_map", "metadata"]), VALUES) | VALUES)
def test_whatever_stands_there_is_a_value_or_an_error(said: Any) -> None:
    data = json.dumps(said).encode()
    for parse in (parse_header, parse_index):
        said_of_it = complaint_of(parse, data)
        assert len(said_of_it) < 300
        assert not said_of_it.endswith(".")


@given(st.binary(max_size=200))
def test_noise_is_an_error(noise: bytes) -> None:
    for parse in (parse_header, parse_index):
        with pytest.raises(FormatError):
            parse(noise + b"\xff")
