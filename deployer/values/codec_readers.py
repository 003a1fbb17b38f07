"""Readers of JSON data by type hints: one function a type, made once. Part of `values.codec`."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any, Literal

Reader = Callable[[Any], Any]
MAX_DEPTH = 64  # of JSON values in fields that take any
NAMES: dict[type, str] = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", types.NoneType: "null",
}  # fmt: skip
JSON_TYPES = (*NAMES, list, tuple, dict)


class CodecField:
    """A dataclass field as the codec needs it; `tag`: a single-valued Literal, which tells members of a union apart."""

    def __init__(self, declared: Field[Any], hint: Any) -> None:
        self.name = declared.name
        self.hint = hint
        self.tag = typing.get_origin(hint) is Literal and len(typing.get_args(hint)) == 1
        factory = declared.default_factory
        self.default = factory() if factory is not MISSING else declared.default
        self.required = self.default is MISSING

    def is_default(self, value: object) -> bool:
        return type(value) is type(self.default) and bool(value == self.default)


@cache
def fields_of(kind: Any) -> tuple[CodecField, ...]:
    hints = typing.get_type_hints(kind)
    return tuple(CodecField(f, hints[f.name]) for f in fields(kind))


@cache
def values_of(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    """What reads the values of all fields at once."""
    names = [f.name for f in fields(kind)]
    return attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, name) for name in names)


class Misfit(ValueError):
    """What is wrong, with the place inside the data."""

    def __init__(self, place: str, why: ValueError) -> None:
        self.place: str = place
        self.message: str = str(why)
        if isinstance(why, Misfit):
            self.place += why.place if why.place.startswith("[") else f".{why.place}"
            self.message = why.message
        super().__init__(f"{self.place}: {self.message}")


def text_key(key: object) -> str:
    if type(key) is str:
        return key
    if not isinstance(key, str):
        raise ValueError(f"a key is text, not {type(key).__name__}")
    return key.value if isinstance(key, Enum) else key


def shown(data: Any) -> str:
    if isinstance(data, dict | list | tuple):
        return "an object" if isinstance(data, dict) else "a list"
    return f"`{str(data)[:40]}`" if data is not None else "null"


@cache
def reader_of(kind: Any) -> Reader:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return _any
    if kind is None or kind in NAMES:
        return _scalar(types.NoneType if kind is None else kind)
    if origin is Literal:
        return _literal(args)
    if origin in (typing.Union, types.UnionType):
        return _union(args)
    if origin is tuple:
        return _list(args[0]) if len(args) == 2 and args[1] is Ellipsis else _row(args)
    if _is_mapping(kind):
        return _mapping(args[1])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass(kind)
    raise TypeError(f"the codec knows no type {kind!r}")


def _is_mapping(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _any(data: Any, depth: int = 0) -> Any:
    if type(data) in NAMES:
        return data
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(data, list):
        return [_any(v, depth + 1) for v in data]
    if isinstance(data, dict):
        return {text_key(k): _any(v, depth + 1) for k, v in data.items()}
    raise ValueError(f"{type(data).__name__} is not JSON")


def plain_types(kind: Any) -> frozenset[type]:
    """Types of JSON data that is the value already, so that nobody has to read it."""
    members = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
    return frozenset(members) if all(member in NAMES for member in members) else frozenset()


def _scalar(kind: type) -> Reader:
    def read(data: Any) -> Any:
        if type(data) is kind:
            return data
        if kind is float and type(data) is int:
            return float(data)
        raise ValueError(f"{shown(data)} is not {NAMES[kind]}")

    return read


def _literal(allowed: tuple[Any, ...]) -> Reader:
    texts = {value: value for value in allowed if type(value) is str}

    def read(data: Any) -> Any:
        if type(data) is str and data in texts:
            return texts[data]
        for value in allowed:
            if type(value) is type(data) and value == data:
                return value
        raise ValueError(f"{shown(data)} is none of {', '.join(map(str, allowed))}")

    return read


def _enum(kind: type[Enum]) -> Reader:
    def read(data: Any) -> Any:
        try:
            return kind(data)
        except ValueError:
            raise ValueError(f"{shown(data)} is none of {', '.join(str(m.value) for m in kind)}") from None

    return read


def _each(items: Iterable[tuple[str, Reader, Any]]) -> None:
    """Reads items one by one to say which of them does not fit."""
    for place, reader, item in items:
        try:
            reader(item)
        except ValueError as error:
            raise Misfit(place, error) from None


def _list(kind: Any) -> Reader:
    reader, plain = reader_of(kind), plain_types(kind)

    def read(data: Any) -> Any:
        if not isinstance(data, list | tuple):
            raise ValueError(f"{shown(data)} is not a list")
        try:
            return tuple([item if type(item) in plain else reader(item) for item in data])
        except ValueError:
            _each((f"[{n}]", reader, item) for n, item in enumerate(data))
            raise

    return read


def _row(kinds: tuple[Any, ...]) -> Reader:
    readers = [reader_of(kind) for kind in kinds]

    def read(data: Any) -> Any:
        if not isinstance(data, list | tuple):
            raise ValueError(f"{shown(data)} is not a list")
        if len(data) != len(readers):
            raise ValueError(f"a list of {len(data)}, not of {len(readers)}")
        try:
            return tuple([reader(item) for reader, item in zip(readers, data, strict=True)])
        except ValueError:
            _each((f"[{n}]", readers[n], item) for n, item in enumerate(data))
            raise

    return read


def _mapping(kind: Any) -> Reader:
    reader, plain = reader_of(kind), plain_types(kind)

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"{shown(data)} is not an object")
        try:
            return {text_key(key): item if type(item) in plain else reader(item) for key, item in data.items()}
        except ValueError:
            _each((text_key(key), reader, item) for key, item in data.items())
            raise

    return read


def _dataclass(kind: Any) -> Reader:
    plain = {f.name: plain_types(f.hint) for f in fields_of(kind)}
    readers = {f.name: reader_of(f.hint) for f in fields_of(kind)}
    required = frozenset(f.name for f in fields_of(kind) if f.required)

    def unknown(data: Any) -> Any:
        raise ValueError(f"unknown key ({kind.__name__})")

    def read(data: Any) -> Any:
        if not isinstance(data, dict):
            raise ValueError(f"{shown(data)} is not an object ({kind.__name__})")
        try:
            given = {name: item if type(item) in plain[name] else readers[name](item) for name, item in data.items()}
        except (KeyError, ValueError):
            _each((str(name)[:80], readers.get(name, unknown), item) for name, item in data.items())
            raise
        if not required <= given.keys():
            name = next(f.name for f in fields_of(kind) if f.required and f.name not in given)
            raise ValueError(f"`{name}` is missing ({kind.__name__})")
        return kind(**given)

    return read


def _union(members: tuple[Any, ...]) -> Reader:
    by_type = {kind: [m for m in members if _may_be(m, kind)] for kind in JSON_TYPES}
    only = {kind: reader_of(fitting[0]) for kind, fitting in by_type.items() if len(fitting) == 1}
    names = " or ".join(NAMES.get(m, getattr(m, "__name__", str(m))) for m in members)

    def read(data: Any) -> Any:
        if type(data) in only:
            return only[type(data)](data)
        fitting = by_type.get(type(data), [])
        if type(data) is dict and len(fitting) > 1:
            fitting = [m for m in fitting if _has_tags_of(m, data)]
        if len(fitting) == 1:
            return reader_of(fitting[0])(data)
        wrong = []
        for member in fitting:
            try:
                return reader_of(member)(data)
            except ValueError as error:
                wrong.append(str(error))
        raise ValueError(" and ".join(wrong) or f"{shown(data)} is not {names}")

    return read


def _may_be(member: Any, kind: type) -> bool:
    """Whether JSON of this type may be a member of a union."""
    if member in NAMES:
        return kind is member or (member is float and kind is int)
    if typing.get_origin(member) is Literal:
        return kind in map(type, typing.get_args(member))
    if _is_mapping(member) or (isinstance(member, type) and is_dataclass(member)):
        return kind is dict
    if typing.get_origin(member) is tuple:
        return kind in (list, tuple)
    return member is Any or kind in (str, int)


def _has_tags_of(member: Any, data: dict[str, Any]) -> bool:
    if not hasattr(member, "__dataclass_fields__"):
        return True
    return all(data.get(f.name) in typing.get_args(f.hint) for f in fields_of(member) if f.tag)
