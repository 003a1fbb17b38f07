"""Numbers out of foreign JSON, believed within bounds. What is there and absurd is an error, never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.formats.text import one_line


class FormatError(ValueError):
    """A foreign file does not hold what its format says. The message names the key; it has no trailing period."""


def number(data: Mapping[str, Any], keys: tuple[str, ...], most: int, least: int = 1) -> int | None:
    """The first of the keys that is there, as a whole number; None where none is. FormatError outside the bounds."""
    for key in keys:
        value = data.get(key)
        if value is not None:
            return whole(key, value, most, least)
    return None


def needed(data: Mapping[str, Any], keys: tuple[str, ...], most: int) -> int:
    """As `number`; FormatError where none of the keys is there."""
    found = number(data, keys, most)
    if found is None:
        raise FormatError(f"it has no `{keys[0]}`")
    return found


def whole(key: str, value: Any, most: int, least: int = 1) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FormatError(f"its `{key}` is {shown(value)}, not a whole number")
    if not least <= value <= most:
        raise FormatError(f"its `{key}` is {shown(value)}, which no model has")
    return value


def words(data: Mapping[str, Any], key: str, most: int) -> tuple[str, ...]:
    """A list of words; empty where there is none. FormatError for one that is too long or holds other things."""
    value = data.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > most or not all(isinstance(word, str) for word in value):
        raise FormatError(f"its `{key}` is not a list of words")
    return tuple(one_line(word, 80) for word in value)


def section(data: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
    value = data.get(key)
    return value if isinstance(value, dict) else None


def shown(value: Any) -> str:
    """The value as it may stand in a message."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a huge number"
    return one_line(repr(value), 40)
