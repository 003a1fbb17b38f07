"""Headers of safetensors files, and the index of a model that is split into several. Every length is hostile.

Format: safetensors README and safetensors/src/tensor.rs (`MAX_HEADER_SIZE`, `Dtype::bitsize`); the index is written by
transformers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from deployer.dataclass import dataclass
from deployer.formats.numbers import FormatError, number, section, shown
from deployer.formats.text import one_line
from deployer.values.model_weights import Tensor

LENGTH_BYTES = 8
MAX_HEADER = 32 << 20  # bytes; upstream allows 100 MB, the largest that are published have 10
MAX_INDEX = 32 << 20
MOST_TENSORS = 1 << 19
MOST_BYTES = 1 << 50
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SafetensorsIndex:
    """`files` by name, `total` bytes of all their tensors where the index says it."""

    files: tuple[str, ...]
    total: int | None


def parse_header_length(first: bytes) -> int:
    """Bytes of the header, of a file's first eight bytes. FormatError where no header is that long."""
    if len(first) < LENGTH_BYTES:
        raise FormatError("it is cut off in its first 8 bytes")
    length = int.from_bytes(first[:LENGTH_BYTES], "little")
    if not 2 <= length <= MAX_HEADER:
        raise FormatError(f"its header would have {shown(length)} bytes: it is no safetensors file")
    return length


def parse_header(data: bytes) -> tuple[Tensor, ...]:
    """The tensors of a header, `data` being all of it without its length. FormatError where it lies about one."""
    header = _object(data, "its header")
    if len(header) > MOST_TENSORS:
        raise FormatError(f"its header names more than {MOST_TENSORS} tensors")
    return tuple(_tensor(name, said) for name, said in header.items() if name != "__metadata__")


def _tensor(name: str, said: Any) -> Tensor:
    label = one_line(name, 80)
    shape = said.get("shape") if isinstance(said, dict) else None
    offsets = said.get("data_offsets") if isinstance(said, dict) else None
    if not _are_sizes(shape, 16) or not _are_sizes(offsets, 2) or len(offsets) != 2:
        raise FormatError(f"its header describes tensor `{label}` badly")
    bits = BITS.get(said.get("dtype")) if isinstance(said.get("dtype"), str) else None
    if bits is None:
        raise FormatError(f"tensor `{label}` has the unknown type {shown(said.get('dtype'))}")
    size = offsets[1] - offsets[0]
    if size != math.prod(shape) * bits // 8:
        raise FormatError(f"tensor `{label}` has {shown(size)} bytes, which is not what its shape needs")
    return Tensor(name, said["dtype"], tuple(shape), size)


def _are_sizes(value: Any, most: int) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= most
        and all(type(size) is int and 0 <= size <= MOST_BYTES for size in value)
    )


def parse_index(data: bytes) -> SafetensorsIndex:
    """Of `model.safetensors.index.json`. FormatError where it names a file outside of its folder."""
    index = _object(data, "the index")
    named = index.get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(file, str) for file in named.values()):
        raise FormatError("the index has no `weight_map`")
    files = sorted(set(named.values()))
    strange = next((file for file in files if "/" in file or not file.endswith(".safetensors")), None)
    if strange is not None:
        raise FormatError(f"the index names the file {shown(strange)}")
    return SafetensorsIndex(tuple(files), number(section(index, "metadata") or {}, ("total_size",), MOST_BYTES))


def _object(data: bytes, what: str) -> Mapping[str, Any]:
    if len(data) > max(MAX_HEADER, MAX_INDEX):
        raise FormatError(f"{what} is too large")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise FormatError(f"{what} is no JSON object")
    return found
