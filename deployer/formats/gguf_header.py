"""The whole header of a GGUF file: metadata and what tensors it holds, their data apart. Every length is hostile.

Format: ggml docs/gguf.md; sizes of the types: `GGML_QUANT_SIZES` of llama.cpp's gguf-py/gguf/constants.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from deployer.dataclass import dataclass
from deployer.formats.gguf import MAGIC, MOST_KEYS, VERSIONS, Cut, Reader
from deployer.formats.numbers import FormatError
from deployer.values.model_weights import Tensor

MOST_TENSORS = 1 << 17
MOST_DIMENSIONS = 4
MOST_ELEMENTS = 1 << 44
TYPES: Mapping[int, tuple[str, int, int]] = {  # number -> name, elements of a block, bytes of a block
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgufHeader:
    metadata: Mapping[str, Any]  # without long arrays
    tensors: tuple[Tensor, ...]


def parse_gguf_header(data: bytes) -> GgufHeader | None:
    """None where the header goes on behind these bytes, or says so. FormatError where this is no such file."""
    reader = Reader(data)
    try:
        if reader.take(4) != MAGIC:
            raise FormatError("it does not begin as a GGUF file")
        version = reader.number("<I")
        if version not in VERSIONS:
            raise FormatError(f"it is a GGUF file of version {version}; known are 2 and 3")
        tensors, keys = reader.number("<Q"), reader.number("<Q")
        if tensors > MOST_TENSORS or keys > MOST_KEYS:
            raise FormatError(f"its header counts {tensors} tensors and {keys} keys, which no model has")
        found = {}
        for _ in range(keys):
            key = reader.text()
            value = reader.value(reader.number("<I"))
            if value is not None:
                found[key] = value
        return GgufHeader(found, tuple(_tensor(reader) for _ in range(tensors)))
    except Cut:
        return None


def _tensor(reader: Reader) -> Tensor:
    name = reader.text()
    dimensions = reader.number("<I")
    if dimensions > MOST_DIMENSIONS:
        raise FormatError(f"a tensor of it has {dimensions} dimensions")
    shape = tuple(reader.number("<Q") for _ in range(dimensions))
    kind = reader.number("<I")
    reader.number("<Q")  # where its data begins
    elements = math.prod(shape)
    if kind not in TYPES:
        raise FormatError(f"a tensor of it has type {kind}, which is not known")
    if elements > MOST_ELEMENTS:
        raise FormatError("a tensor of it is larger than any model")
    label, block, size = TYPES[kind]
    return Tensor(name, label, shape, -(-elements // block) * size)
