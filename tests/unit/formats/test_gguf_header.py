"""The whole header of a GGUF file: metadata, tensors, and the shape that follows."""

from __future__ import annotations

import struct
from typing import Any

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.formats.gguf import parse_gguf_start
from deployer.formats.gguf_header import TYPES, parse_gguf_header
from deployer.formats.gguf_shape import gguf_shape
from deployer.formats.numbers import FormatError
from deployer.values.model_shape import CacheLayers, Experts
from deployer.values.model_weights import Tensor
from tests.unit.formats.complaints import complaint_of
from tests.unit.formats.test_gguf import NAME, POOLING, WORDS, text

HEADS = text("llama.attention.head_count_kv") + struct.pack("<IIQ", 9, 5, 3) + struct.pack("<3i", 8, 0, 8)


def tensor(name: str, kind: int, *shape: int) -> bytes:
    return (
        text(name)
        + struct.pack("<I", len(shape))
        + struct.pack(f"<{len(shape)}Q", *shape)
        + struct.pack("<IQ", kind, 0)
    )


def whole(keys: list[bytes], tensors: list[bytes], count: int | None = None) -> bytes:
    many = len(tensors) if count is None else count
    return b"GGUF" + struct.pack("<IQQ", 3, many, len(keys)) + b"".join(keys) + b"".join(tensors)


TENSORS = [tensor("token_embd.weight", 12, 512, 1000), tensor("blk.0.attn_norm.weight", 0, 512)]
FILE = whole([NAME, WORDS, POOLING, HEADS], TENSORS)


def test_metadata_and_tensors() -> None:
    found = parse_gguf_header(FILE)
    assert found is not None
    assert found.metadata["llama.attention.head_count_kv"] == (8, 0, 8)
    assert "tokenizer.ggml.tokens" not in found.metadata
    assert found.tensors == (
        Tensor("token_embd.weight", "Q4_K", (512, 1000), 2000 * 144),
        Tensor("blk.0.attn_norm.weight", "F32", (512,), 2048),
    )


def test_more_bytes_are_needed_wherever_it_is_cut() -> None:
    assert {parse_gguf_header(FILE[:end]) for end in range(4, len(FILE))} == {None}


@pytest.mark.parametrize(
    "data",
    [
        b"GGML" + bytes(30), b"<html>", FILE[:4] + struct.pack("<I", 9) + FILE[8:], whole([], [], 2**64 - 1),
        whole([], [tensor("x", 12, 1, 1, 1, 1, 1)]), whole([], [tensor("x", 5, 1)]),
        whole([], [tensor("x", 0, 2**63, 2**63)]),
    ],
)  # fmt: skip
def test_what_no_model_has_is_an_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_gguf_header(data)


def test_types_are_as_large_as_upstream_says() -> None:
    known = {kind.value: (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {number: known[number] for number in TYPES if number in known} == dict(TYPES) | {
        number: size for number, size in TYPES.items() if number not in known
    }
    assert len(TYPES.keys() & known.keys()) > 30


@given(st.binary(max_size=60), st.integers(0, len(FILE)))
def test_nothing_makes_it_fail_otherwise(noise: bytes, at: int) -> None:
    assert len(complaint_of(read, FILE[:at] + noise + FILE[at:])) < 300


SIZES = st.sampled_from([0, 1, 3, 32, 4096, 1 << 17, 1 << 31, 1 << 44, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
KINDS = st.integers(0, 41) | st.sampled_from([255, (1 << 32) - 1])
LIES = st.one_of(
    st.builds(lambda length: struct.pack("<Q", length) + b"general.name", SIZES),
    st.builds(lambda kind, count: text("x") + struct.pack("<IIQ", 9, kind, count) + bytes(40), KINDS, SIZES),
    st.builds(lambda kind, *sides: tensor("x", kind, *sides), KINDS, SIZES, SIZES),
)


@given(st.lists(LIES, max_size=4), st.lists(LIES, max_size=4), st.none() | SIZES)
def test_sizes_up_to_two_to_the_64_cost_neither_time_nor_memory(
    keys: list[bytes], tensors: list[bytes], count: int | None
) -> None:
    said = whole([NAME, *keys], tensors, count)
    assert len(complaint_of(read, said)) < 300
    assert sum(map(len, parse_gguf_start(said))) <= len(said)


def read(data: bytes) -> None:
    found = parse_gguf_header(data)
    if found is not None:
        gguf_shape(found.metadata)


def metadata(kind: str, **own: Any) -> dict[str, Any]:
    least = {"block_count": 4, "embedding_length": 1024, "attention.head_count": 16}
    return {"general.architecture": kind, **{f"{kind}.{key}": value for key, value in (least | own).items()}}


def test_grouped_attention() -> None:
    said = {"attention.head_count_kv": 4, "feed_forward_length": 2816, "context_length": 32768, "vocab_size": 151936}
    shape = gguf_shape(metadata("qwen2", **said))
    assert (shape.layers, shape.hidden, shape.heads, shape.kv_heads, shape.head_width) == (4, 1024, 16, 4, 64)
    assert shape.cache == (CacheLayers("full", 4, 4, 128),)
    assert (shape.intermediate, shape.context, shape.vocabulary, shape.is_gguf) == (2816, 32768, 151936, True)


def test_windows_states_and_latents() -> None:
    window = {"attention.sliding_window": 128, "attention.key_length": 64, "attention.head_count_kv": 8}
    assert gguf_shape(metadata("gpt-oss", **window)).cache == (
        CacheLayers("full", 2, 8, 128), CacheLayers("sliding", 2, 8, 128, 128),
    )  # fmt: skip
    said = window | {"attention.sliding_window_pattern": (True, True, True, False)}
    assert [group.layers for group in gguf_shape(metadata("new", **said)).cache] == [1, 3]
    mixed = {
        "attention.head_count_kv": (0, 8, 0, 0),
        "ssm.inner_size": 2048,
        "ssm.state_size": 128,
        "ssm.conv_kernel": 4,
    }
    assert [(g.kind, g.layers) for g in gguf_shape(metadata("granitehybrid", **mixed)).cache] == [
        ("full", 1),
        ("state", 3),
    ]
    latent = {"attention.key_length_mla": 192, "attention.key_length": 576, "attention.head_count_kv": 1}
    assert gguf_shape(metadata("deepseek2", **latent)).cache == (CacheLayers("latent", 4, 1, 576),)


def test_experts_and_encoders() -> None:
    said = {
        "expert_count": 128,
        "expert_used_count": 8,
        "expert_feed_forward_length": 768,
        "leading_dense_block_count": 1,
    }
    assert gguf_shape(metadata("qwen3moe", **said)).experts == Experts(128, 8, 768, 3)
    assert gguf_shape(metadata("nomic-bert")).cache == ()


@pytest.mark.parametrize("bad", [0, -1, 2**64, 1e308, float("nan"), "12", True])
def test_absurd_numbers_are_errors(bad: Any) -> None:
    for key in ("block_count", "embedding_length"):
        with pytest.raises(FormatError, match=key):
            gguf_shape(metadata("llama", **{key: bad}))
