"""Values to JSON data and back, by their type hints. Strict when reading; knows no particular value.

A field at its default is left out, so that a field added later changes no digest and no label; the defaults of
values that are recorded (ContainerSpec) must therefore never change their meaning.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from typing import Any, Literal, TypeVar, cast

T = TypeVar("T")
Reader = Callable[[Any], Any]
MAX_DEPTH = 64  # of JSON values in fields that take any


def to_data(value: object, *, defaults: bool = False) -> Any:
    """JSON data of a value: dataclasses and mappings become dicts, tuples lists, enums their values.

    Fields at their default are left out unless `defaults`; single-valued Literals (tags of unions) always stay.
    Raises ValueError for what has no place in JSON, a `Secret` above all.
    """
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return _dataclass_data(value, defaults)
    if isinstance(value, Mapping):
        return {_key(k): to_data(v, defaults=defaults) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(v, defaults=defaults) for v in value]
    raise ValueError(f"{type(value).__name__} has no place in JSON")


def _dataclass_data(value: Any, defaults: bool) -> dict[str, Any]:
    kind: Any = type(value)
    found = {}
    for f in _fields(kind):
        item = getattr(value, f.name)
        if defaults or f.tag or not f.is_default(item):
            found[f.name] = to_data(item, defaults=defaults)
    return found


def from_data(kind: type[T], data: Any) -> T:
    """The value of type `kind` that `to_data` made `data` of. ValueError names the place and what is wrong there."""
    hint: Any = kind
    return cast(T, _reader(hint)(data))


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


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"a key is text, not {type(key).__name__}")
    return key.value if isinstance(key, Enum) else key


class _Field:
    """A dataclass field as the codec needs it."""

    def __init__(self, declared: Field[Any], hint: Any) -> None:
        self.name = declared.name
        self.hint = hint
        self.tag = typing.get_origin(hint) is Literal and len(typing.get_args(hint)) == 1
        factory = declared.default_factory
        self.default = factory() if factory is not MISSING else declared.default

    @property
    def required(self) -> bool:
        return self.default is MISSING

    def is_default(self, value: object) -> bool:
        return not self.required and type(value) is type(self.default) and bool(value == self.default)


@cache
def _fields(kind: type) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(kind)
    return tuple(_Field(f, hints[f.name]) for f in fields(kind))


# --- readers: one function a type, made once -----------------------------------


@cache
def _reader(kind: Any) -> Reader:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return partial(_read_any, depth=0)
    if kind in (str, int, float, bool, types.NoneType, None):
        return partial(_read_scalar, types.NoneType if kind is None else kind)
    if origin is Literal:
        return partial(_read_literal, args)
    if origin in (typing.Union, types.UnionType):
        return partial(_read_union, args)
    if origin is tuple:
        return partial(_read_tuple, args)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return partial(_read_mapping, args[1])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return partial(_read_enum, kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return partial(_read_dataclass, kind)
    raise TypeError(f"the codec knows no type {kind!r}")


class _Misfit(ValueError):
    """What is wrong, with the place inside the data."""

    def __init__(self, place: str, why: ValueError) -> None:
        self.place: str = place
        self.message: str = str(why)
        if isinstance(why, _Misfit):
            self.place += why.place if why.place.startswith("[") else f".{why.place}"
            self.message = why.message
        super().__init__(f"{self.place}: {self.message}")


def _inside(place: str, reader: Reader, data: Any) -> Any:
    try:
        return reader(data)
    except ValueError as error:
        raise _Misfit(place, error) from None


def _read_any(data: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if data is None or type(data) in (str, int, float, bool):
        return data
    if isinstance(data, list):
        return [_read_any(v, depth + 1) for v in data]
    if isinstance(data, dict):
        return {_key(k): _read_any(v, depth + 1) for k, v in data.items()}
    raise ValueError(f"{type(data).__name__} is not JSON")


def _read_scalar(kind: type, data: Any) -> Any:
    if type(data) is kind:
        return data
    if kind is float and type(data) is int:
        return float(data)
    raise ValueError(f"{_shown(data)} is not {NAMES[kind]}")


NAMES: dict[type, str] = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null",
}  # fmt: skip


def _shown(data: Any) -> str:
    if isinstance(data, dict | list | tuple):
        return "an object" if isinstance(data, dict) else "a list"
    return f"`{str(data)[:40]}`" if data is not None else "null"


def _read_literal(allowed: tuple[Any, ...], data: Any) -> Any:
    for value in allowed:
        if type(value) is type(data) and value == data:
            return value
    raise ValueError(f"{_shown(data)} is none of {', '.join(map(str, allowed))}")


def _read_enum(kind: type[Enum], data: Any) -> Any:
    try:
        return kind(data)
    except ValueError:
        raise ValueError(f"{_shown(data)} is none of {', '.join(str(m.value) for m in kind)}") from None


def _read_tuple(args: tuple[Any, ...], data: Any) -> Any:
    if not isinstance(data, list | tuple):
        raise ValueError(f"{_shown(data)} is not a list")
    if len(args) == 2 and args[1] is Ellipsis:
        reader = _reader(args[0])
        return tuple(_inside(f"[{n}]", reader, item) for n, item in enumerate(data))
    if len(args) != len(data):
        raise ValueError(f"a list of {len(data)}, not of {len(args)}")
    return tuple(_inside(f"[{n}]", _reader(arg), item) for n, (arg, item) in enumerate(zip(args, data, strict=True)))


def _read_mapping(kind: Any, data: Any) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{_shown(data)} is not an object")
    reader = _reader(kind)
    return {_key(k): _inside(k, reader, v) for k, v in data.items()}


def _read_dataclass(kind: type, data: Any) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{_shown(data)} is not an object ({kind.__name__})")
    known = _fields(kind)
    if unknown := set(data) - {f.name for f in known}:
        raise ValueError(f"unknown key `{min(map(str, unknown))[:40]}` ({kind.__name__})")
    if missing := [f.name for f in known if f.required and f.name not in data]:
        raise ValueError(f"`{missing[0]}` is missing ({kind.__name__})")
    given = {f.name: _inside(f.name, _reader(f.hint), data[f.name]) for f in known if f.name in data}
    return kind(**given)


def _read_union(members: tuple[Any, ...], data: Any) -> Any:
    fitting = [m for m in members if _may_fit(m, data)]
    if len(fitting) == 1:
        return _reader(fitting[0])(data)
    wrong = []
    for member in fitting:
        try:
            return _reader(member)(data)
        except ValueError as error:
            wrong.append(str(error))
    raise ValueError(" and ".join(wrong) or f"{_shown(data)} fits no type that may stand here")


def _may_fit(member: Any, data: Any) -> bool:
    """Whether data has the shape of a member of a union: objects for dataclasses, with the right tag."""
    if isinstance(member, type) and is_dataclass(member):
        return isinstance(data, dict) and all(data.get(f.name) in typing.get_args(f.hint) for f in _tags(member))
    if isinstance(typing.get_origin(member), type) and issubclass(typing.get_origin(member) or object, Mapping):
        return isinstance(data, dict)
    return member is Any or not isinstance(data, dict)


@cache
def _tags(kind: type) -> tuple[_Field, ...]:
    return tuple(f for f in _fields(kind) if f.tag)
