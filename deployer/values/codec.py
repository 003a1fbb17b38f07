"""Values to JSON data and back, by their type hints. Strict when reading; knows no particular value.

A field at its default is left out, so that a field added later changes no digest and no label; the defaults of
values that are recorded (ContainerSpec) must therefore never change their meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from types import NoneType
from typing import Any, TypeVar, cast

from deployer.values.codec_readers import fields_of, reader_of, text_key, values_of

T = TypeVar("T")
SCALARS = frozenset({str, int, float, bool, NoneType})


def to_data(value: object, *, defaults: bool = False) -> Any:
    """JSON data of a value: dataclasses and mappings become dicts, tuples lists, enums their values.

    Fields at their default are left out unless `defaults`; single-valued Literals (tags of unions) always stay.
    Raises ValueError for what has no place in JSON, a `Secret` above all.
    """
    kind: Any = type(value)
    if kind in SCALARS:
        return value
    if hasattr(kind, "__dataclass_fields__"):
        return _fields_to_data(value, kind, defaults)
    if isinstance(value, (list, tuple)):
        return [v if type(v) in SCALARS else to_data(v, defaults=defaults) for v in value]
    if isinstance(value, (dict, Mapping)):
        return {text_key(k): v if type(v) in SCALARS else to_data(v, defaults=defaults) for k, v in value.items()}
    if isinstance(value, Enum):
        return value.value
    raise ValueError(f"{kind.__name__} has no place in JSON")


def _fields_to_data(value: object, kind: Any, defaults: bool) -> dict[str, Any]:
    return {
        field.name: item if type(item) in SCALARS else to_data(item, defaults=defaults)
        for field, item in zip(fields_of(kind), values_of(kind)(value), strict=True)
        if defaults or field.tag or not (item is field.default or field.is_default(item))
    }


def from_data(kind: type[T], data: Any) -> T:
    """The value of type `kind` that `to_data` made `data` of. ValueError names the place and what is wrong there."""
    hint: Any = kind
    return cast(T, reader_of(hint)(data))


def parse_json(text: str | bytes, limit: int) -> Any:
    """JSON of at most `limit` bytes or characters; ValueError for all else (also NaN, doubled keys, deep nesting)."""
    if len(text) > limit:
        raise ValueError(f"longer than {limit} bytes")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
