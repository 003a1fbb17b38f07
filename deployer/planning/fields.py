"""Field-level differences between two containers, in words a person reads: arguments are compared by flag."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec
from deployer.values.plan import FieldDiff

ABSENT = None
NAMES = tuple(field.name for field in fields(ContainerSpec))
LEVELS = 32  # of JSON that is compared key by key


def field_diffs(before: ContainerSpec, after: ContainerSpec) -> tuple[FieldDiff, ...]:
    """What differs, sorted by path."""
    names = [name for name in NAMES if getattr(before, name) != getattr(after, name)]
    found = tuple(sorted(_compare("", _readable(before, names), _readable(after, names)), key=lambda d: d.path))
    if not found and before.command != after.command:
        return (FieldDiff("command", "in another order", "in this order"),)
    return found or tuple(_laid_out(before, after))


def _laid_out(before: ContainerSpec, after: ContainerSpec) -> Iterator[FieldDiff]:
    """Shipped files that say the same in other characters."""
    for path, shipped in sorted(after.files.items()):
        if path in before.files and before.files[path].data != shipped.data:
            yield FieldDiff(f"files.{path}.digest", _short(before.files[path].data), _short(shipped.data))


def _readable(spec: ContainerSpec, names: Iterable[str]) -> dict[str, Any]:
    """Those of its fields."""
    data: dict[str, Any] = {
        name: to_data(getattr(spec, name), defaults=True) if name != "command" else _by_flag(spec.command)
        for name in names
    }
    for path, shipped in data.get("files", {}).items():
        text = spec.files[path].data
        said = {"data": f"{len(text)} characters of base64", "digest": _short(text)}
        data["files"][path] = {**shipped, **(_json_in(text) or said)}
    if "mounts" in data:
        data["mounts"] = {mount["target"]: mount for mount in data["mounts"]}
    if "ports" in data:
        data["ports"] = {f"{port['container']}/{port['protocol']}": port for port in data["ports"]}
    return data


def _json_in(text: str) -> dict[str, Any] | None:
    """What a shipped file says, where that is a JSON map, or a list of maps with names."""
    try:
        content = json.loads(base64.b64decode(text), parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    if isinstance(content, list) and all(isinstance(item, dict) and "name" in item for item in content):
        content = {str(item["name"]): item for item in content}
    return {"data": content} if isinstance(content, dict) and _is_shallow(content) else None


def _no_number(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _is_shallow(item: object, levels: int = LEVELS) -> bool:
    if not isinstance(item, dict | list):
        return True
    inner = item.values() if isinstance(item, dict) else item
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)


def _short(text: str) -> str:
    from deployer.values.canonical import digest

    return digest(text)[:12]


@lru_cache(maxsize=1024)
def _by_flag(arguments: tuple[str, ...]) -> Mapping[str, Any]:
    """`["--port", "80", "-v"]` as {"--port": "80", "-v": True}; a flag given twice keeps a list; others by place."""
    found: dict[str, Any] = {}
    position = index = 0
    while index < len(arguments):
        word = arguments[index]
        if word.startswith("-") and "=" in word:
            flag, _, value = word.partition("=")
            _put(found, flag, value)
        elif word.startswith("-") and index + 1 < len(arguments) and not arguments[index + 1].startswith("-"):
            _put(found, word, arguments[index + 1])
            index += 1
        elif word.startswith("-"):
            _put(found, word, True)
        else:
            found[f"[{position}]"] = word
            position += 1
        index += 1
    return found


def _put(found: dict[str, Any], flag: str, value: Any) -> None:
    found[flag] = value if flag not in found else [*_listed(found[flag]), value]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _compare(path: str, before: Any, after: Any) -> list[FieldDiff]:
    if before == after:
        return []
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: list[FieldDiff] = []
        for key in sorted(set(before) | set(after)):
            inner = f"{path}.{key}" if path else str(key)
            found += _compare(inner, before.get(key, ABSENT), after.get(key, ABSENT))
        return found
    return [FieldDiff(path, before, after)]
