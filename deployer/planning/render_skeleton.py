"""The YAML that a template makes, with placeholders for its values: read as specs are, scalars of YAML 1.2's core.

Nothing that only YAML has is in it: no anchors, no tags, no second document.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import yaml

from deployer.spec.composer import LOADER
from deployer.spec.scalars import parse_scalar

MAX_DEPTH = 20


@lru_cache(maxsize=1024)
def parse_skeleton(text: str) -> Any:
    """The data, never changed by who gets it. ValueError for what cannot be read."""
    events: Iterator[Any] = yaml.parse(text, Loader=LOADER)
    try:
        root = None
        for number, _ in enumerate(event for event in events if isinstance(event, yaml.DocumentStartEvent)):
            if number:
                raise ValueError("it makes several YAML documents")
            root = _value(next(events), events, 0)
        return root
    except (yaml.YAMLError, RecursionError, OverflowError, AttributeError, IndexError) as error:
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ValueError(f"it does not make YAML: {problem}") from error


def _value(event: Any, events: Iterator[Any], depth: int) -> Any:
    if isinstance(event, yaml.AliasEvent) or event.anchor:
        raise ValueError("it has YAML anchors or aliases; jinja2's `set` does the same")
    if event.tag is not None:
        raise ValueError("it has YAML tags")
    if isinstance(event, yaml.ScalarEvent):
        return parse_scalar(event.value) if event.implicit[0] else event.value
    if depth == MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(event, yaml.MappingStartEvent):
        return _map(events, depth + 1)
    return [_value(item, events, depth + 1) for item in iter(lambda: _next(events), None)]


def _next(events: Iterator[Any]) -> Any:
    """The next event; None at the end of the map or list."""
    event = next(events)
    return None if isinstance(event, yaml.CollectionEndEvent) else event


def _map(events: Iterator[Any], depth: int) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for event in iter(lambda: _next(events), None):
        key = _value(event, events, depth)
        if isinstance(key, dict | list):
            raise ValueError("it does not make YAML: a map or list stands as a key")
        if key in found:
            raise ValueError(f"it does not make YAML: the key `{key}` stands twice")
        found[key] = _value(next(events), events, depth)
    return found
