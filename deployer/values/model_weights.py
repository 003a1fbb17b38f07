"""How many bytes of weights a model has, by how a server spreads them over GPUs."""

from __future__ import annotations

from typing import Literal

from deployer.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Tensor:
    """As a file's header has it. `size` in bytes, as stored."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True)
class WeightParts:
    """Bytes as they are in GPU memory. `linear` of the layers are divided by a tensor-parallel group, `kv` (what makes
    keys and values) by no more GPUs than there are heads of them, `whole` (norms, routers) by none."""

    linear: int = 0
    kv: int = 0
    whole: int = 0
    embedding: int = 0
    head: int = 0
    towers: int = 0

    @property
    def total(self) -> int:
        return self.linear + self.kv + self.whole + self.embedding + self.head + self.towers


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """As stored. `source`: `tensors` of file headers, `files` by their sizes alone, `config`: computed from the shape.
    `parameters` counts weights, not what scales them; None: not known. `float_bits`: of a plain weight."""

    parts: WeightParts
    source: Literal["tensors", "files", "config"]
    parameters: int | None = None
    float_bits: int = 16
