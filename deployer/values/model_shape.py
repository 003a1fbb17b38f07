"""What a model is made of, as its config.json or GGUF header says: what its memory follows from. No sizes in bytes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

from deployer.dataclass import dataclass

MOST = 1 << 80
COUNTS = ("layers", "hidden", "heads", "kv_heads", "head_width", "group", "block", "bits", "count")


def check_bounds(shape: Any) -> None:
    """Shapes come out of recorded facts, too. ValueError for a size below zero, and for a count below one."""
    for declared in fields(shape):
        value = getattr(shape, declared.name)
        least = 1 if declared.name in COUNTS else 0
        if type(value) is int and not least <= value <= MOST:
            raise ValueError(f"`{declared.name}` is out of bounds")


@dataclass(frozen=True, slots=True)
class CacheLayers:
    """Layers that keep the same of each sequence.

    `full`: keys and values of every token; `sliding`: of the last `window` tokens; `latent`: one vector a token, which
    every GPU needs whole; `state`: `state_bytes`, however long the sequence is. `width` counts elements of one token
    and head, keys and values together; of a latent those of the token.
    """

    kind: Literal["full", "sliding", "latent", "state"]
    layers: int
    heads: int = 1
    width: int = 0
    window: int | None = None
    state_bytes: int = 0

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class Experts:
    """`count` of them in each of `layers` layers, all of which stay in memory. `shared` is the width of those that
    every token uses."""

    count: int
    used: int
    intermediate: int
    layers: int
    shared: int = 0

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention (DeepSeek V2 and later, Kimi K2). `query_rank` 0: queries are not compressed."""

    rank: int
    rope: int
    query_rank: int
    plain: int  # width of a head without positions
    value: int

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class Tower:
    """An encoder of images or sound beside the language model."""

    layers: int
    hidden: int
    intermediate: int
    heads: int | None = None

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class Quantized:
    """How the checkpoint's weights are stored. `bits`: of one weight, without its scales; None: not said. `block`: rows
    that share a scale, where weights are scaled in squares."""

    method: str
    bits: int | None = None
    group: int | None = None
    block: int | None = None
    experts_only: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Of the language model; None where nothing tells. `cache` covers the layers that keep anything at all."""

    architecture: str
    kind: str  # model_type, or general.architecture of GGUF
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_width: int
    intermediate: int  # width of an MLP that is not of experts
    vocabulary: int
    cache: tuple[CacheLayers, ...] = ()
    tied: bool = False  # embeddings serve as output layer too
    gated: bool = True  # three matrices an MLP, not two
    context: int | None = None  # tokens the model was made for
    dtype: str | None = None  # float32 | float16 | bfloat16
    quantized: Quantized | None = None
    experts: Experts | None = None
    latent: Latent | None = None
    towers: tuple[Tower, ...] = ()
    attention_layers: int | None = None  # None: all that are no mixers
    mlp_layers: int | None = None  # with an MLP that is not of experts; None: all that have no experts
    gated_attention: bool = False  # what attention gives passes a gate that is as large as the queries
    mixers: int = 0  # layers that mix tokens without attention
    mixer_weights: int = 0  # of one such layer
    encoder: bool = False  # keeps nothing of a sequence: vectors and ranks, no text
    needs_code: bool = False  # its repository brings code of its own
    is_gguf: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)
