"""Field-level differences between two containers, in words a person reads: arguments are compared by flag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec
from deployer.values.plan import FieldDiff

ABSENT = None


def field_diffs(before: ContainerSpec, after: ContainerSpec) -> tuple[FieldDiff, ...]:
    """What differs, sorted by path."""
    found = tuple(sorted(_compare("", _readable(before), _readable(after)), key=lambda d: d.path))
    if not found and before.command != after.command:
        return (FieldDiff("command", "in another order", "in this order"),)
    return found


def _readable(spec: ContainerSpec) -> dict[str, Any]:
    data: dict[str, Any] = to_data(spec, defaults=True)
    data["command"] = _by_flag(spec.command)
    for path, shipped in data["files"].items():
        data["files"][path] = {**shipped, "data": f"{len(spec.files[path].data)} characters of base64"} | {
            "digest": _short(spec.files[path].data)
        }
    data["mounts"] = {mount["target"]: mount for mount in data["mounts"]}
    data["ports"] = {f"{port['container']}/{port['protocol']}": port for port in data["ports"]}
    return data


def _short(text: str) -> str:
    from deployer.values.canonical import digest

    return digest(text)[:12]


def _by_flag(arguments: Sequence[str]) -> dict[str, Any]:
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
