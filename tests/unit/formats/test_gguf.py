"""The beginning of a GGUF file, also where it is cut, lies, or is none."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from deployer.formats.gguf import parse_gguf_start


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def header(*entries: bytes, count: int | None = None, version: int = 3) -> bytes:
    many = len(entries) if count is None else count
    return b"GGUF" + struct.pack("<IQQ", version, 1, many) + b"".join(entries)


NAME = text("general.architecture") + struct.pack("<I", 8) + text("llama")
POOLING = text("llama.pooling_type") + struct.pack("<II", 4, 3)
WORDS = text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")


def test_keys_and_values() -> None:
    found = parse_gguf_start(header(NAME, WORDS, POOLING))
    assert found == {"general.architecture": "llama", "llama.pooling_type": 3}


def test_what_comes_before_the_cut_counts() -> None:
    assert parse_gguf_start(header(NAME, WORDS, POOLING)[:-10]) == {"general.architecture": "llama"}


def test_absurd_sizes_end_the_reading() -> None:
    lie = text("x") + struct.pack("<IIQ", 9, 8, 2**64 - 1)
    assert parse_gguf_start(header(NAME, lie, count=2**64 - 1)) == {"general.architecture": "llama"}
    assert parse_gguf_start(header(struct.pack("<Q", 2**63))) == {}


def test_what_is_no_gguf() -> None:
    assert parse_gguf_start(b"") == parse_gguf_start(b"GGML" + bytes(100)) == parse_gguf_start(header(version=9)) == {}


@given(st.binary(max_size=400), st.integers(0, 60))
def test_nothing_makes_it_fail(noise: bytes, at: int) -> None:
    data = header(NAME, WORDS, POOLING)
    parse_gguf_start(data[:at] + noise + data[at:])
