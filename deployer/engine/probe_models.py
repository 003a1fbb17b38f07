"""What the beginnings of model files say of the models, added to the facts of their paths. Never raises."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from deployer.formats.gguf import parse_gguf_start
from deployer.formats.gguf_shape import gguf_shape
from deployer.formats.model_config import shape_of
from deployer.formats.text import one_line, whole_number
from deployer.values.facts import PathFact
from deployer.values.model_shape import ModelShape

MOST_ARCHITECTURES = 8
MAX_CONFIG = 65536


Said = tuple[tuple[str, ...], bytes]  # words of the heading, body


def with_models(
    found: dict[str, PathFact], sections: Mapping[str, Sequence[Said]], paths: Sequence[str]
) -> dict[str, PathFact]:
    for name, read in (("gguf", _of_gguf), ("config", _of_config)):
        for words, body in sections.get(name, ()):
            position = whole_number(words[0], len(paths) - 1) if words and paths else None
            if position is not None and paths[position] in found:
                found[paths[position]] = replace(found[paths[position]], **read(body))
    return found


def _of_gguf(body: bytes) -> dict[str, Any]:
    said = parse_gguf_start(body)
    architecture = said.get("general.architecture")
    if not isinstance(architecture, str):
        return {}
    pooling = said.get(f"{architecture}.pooling_type")
    found = {"architectures": (one_line(architecture),), "pooling": pooling if isinstance(pooling, int) else None}
    return found | _shaped(lambda: gguf_shape(said))


def _shaped(parse: Callable[[], ModelShape]) -> dict[str, Any]:
    """What is absurd, or of another kind of model, is not known."""
    try:
        return {"shape": parse()}
    except ValueError:
        return {}


def _of_config(body: bytes) -> dict[str, Any]:
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
