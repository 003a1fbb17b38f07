"""What the beginning of a model's file, or its config.json, says of the model. Never raises."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from deployer.formats.text import one_line
from deployer.values.model_shape import ModelShape

MOST_ARCHITECTURES = 8
MAX_CONFIG = 65536  # bytes
GGUF_START = 16384  # bytes: what tells the shape comes before the vocabulary


def gguf_says(body: bytes) -> dict[str, Any]:
    """`architectures`, `pooling` and `shape`, as far as they are known."""
    from deployer.formats.gguf import parse_gguf_start
    from deployer.formats.gguf_shape import gguf_shape

    said = parse_gguf_start(body)
    architecture = said.get("general.architecture")
    if not isinstance(architecture, str):
        return {}
    pooling = said.get(f"{architecture}.pooling_type")
    found = {"architectures": (one_line(architecture),), "pooling": pooling if isinstance(pooling, int) else None}
    return found | _shaped(lambda: gguf_shape(said))


def config_says(body: bytes) -> dict[str, Any]:
    """`architectures` and `shape`, as far as they are known."""
    from deployer.formats.model_config import shape_of

    try:
        said = json.loads(body) if len(body) <= MAX_CONFIG else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return {}
    named = said.get("architectures")
    shaped = _shaped(lambda: shape_of(said))
    if not isinstance(named, list):
        return shaped
    return shaped | {"architectures": tuple(one_line(n) for n in named[:MOST_ARCHITECTURES] if isinstance(n, str))}


def _shaped(parse: Callable[[], ModelShape]) -> dict[str, Any]:
    try:
        return {"shape": parse()}
    except ValueError:
        return {}
