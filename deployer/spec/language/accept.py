"""Takes what is right at first sight, and refuses all else without a word: whether that is wrong, and how, `judge`
says. What is taken here has the very values that pydantic would make of it; a test holds the two together."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from deployer.spec.language.declare import BeforeValidator, FieldInfo, unwrapped

Check = Callable[[Any, bool], Any]  # the value, and whether lists have to be tuples


class Refused(ValueError):
    """It is not right at first sight."""


def accepted(kind: Any, data: Any, *, strict: bool) -> Any:
    """The section, or Refused."""
    if isinstance(data, kind):
        return data
    if type(data) is not dict:
        raise Refused
    checks, after, judges = _checks_of(kind)
    given: dict[str, Any] = {}
    try:
        for name, value in data.items():
            given[name] = checks[name](value, strict)
            for validate in after.get(name, ()):
                given[name] = validate(given[name])
        if any(name not in given for name in _required(kind)):
            raise Refused
        made = kind.model_construct(given)
        for judge in judges:
            made = judge(made)
    except (KeyError, ValueError):
        raise Refused from None
    return made


@cache
def _required(kind: Any) -> tuple[str, ...]:
    return tuple(name for name, info in kind.model_fields.items() if info.is_required)


@cache
def _checks_of(kind: Any) -> tuple[Mapping[str, Check], Mapping[str, list[Callable[[Any], Any]]], tuple[Any, ...]]:
    """How each key is looked at, what its own validators are, and those of the whole."""
    checks = _Checks(kind.model_fields)
    after: dict[str, list[Callable[[Any], Any]]] = {}
    for attribute in vars(kind):
        bound = getattr(kind, attribute)
        for name in getattr(bound, "validates", ()):
            after.setdefault(name, []).append(bound)
    return checks, after, tuple(value for value in vars(kind).values() if hasattr(value, "judges"))


class _Checks(dict[str, Check]):
    """Made for each key when it is first written somewhere."""

    def __init__(self, fields: Mapping[str, FieldInfo]) -> None:
        self._fields = fields

    def __missing__(self, name: str) -> Check:
        info = self._fields[name]
        check = _check_of(info.annotation)
        self[name] = _limited(check, info.limits) if info.limits else check
        return self[name]


def _check_of(annotation: Any) -> Check:
    marks, kind = unwrapped(annotation)
    check = _bare(kind)
    for mark in marks:
        if isinstance(mark, BeforeValidator):
            check = _before(mark.func, check)
    return check


def _bare(kind: Any) -> Check:
    origin, given = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _any_of([_check_of(part) for part in given])
    if origin is Literal:
        return _one_of(given)
    if origin is tuple:
        assert given[1] is Ellipsis
        return _items(_check_of(given[0]))
    if origin is dict:
        return _entries(_check_of(given[1]))
    if kind is Any:
        return lambda value, strict: value
    if kind is float:
        return _number
    if hasattr(kind, "model_fields"):
        return lambda value, strict: accepted(kind, value, strict=strict)
    return _exactly(kind)


def _exactly(kind: type) -> Check:
    def check(value: Any, strict: bool) -> Any:
        if type(value) is not kind:
            raise Refused
        return value

    return check


def _number(value: Any, strict: bool) -> float:
    if type(value) is not float and type(value) is not int:
        raise Refused
    return float(value)


def _before(func: Callable[[Any], object], then: Check) -> Check:
    return lambda value, strict: then(func(value), strict)


def _any_of(checks: list[Check]) -> Check:
    """A whole number is a float only where nothing else would take it, which a float's neighbours always do."""

    def check(value: Any, strict: bool) -> Any:
        for each in checks:
            try:
                return each(value, strict)
            except ValueError:
                continue
        raise Refused

    return check


def _one_of(values: tuple[Any, ...]) -> Check:
    def check(value: Any, strict: bool) -> Any:
        if not any(type(value) is type(known) and value == known for known in values):
            raise Refused
        return value

    return check


def _items(each: Check) -> Check:
    def check(value: Any, strict: bool) -> Any:
        if type(value) is not tuple and (strict or type(value) is not list):
            raise Refused
        return tuple([each(item, strict) for item in value])

    return check


def _entries(each: Check) -> Check:
    def check(value: Any, strict: bool) -> Any:
        if type(value) is not dict or any(type(key) is not str for key in value):
            raise Refused
        return {key: each(item, strict) for key, item in value.items()}

    return check


def _limited(then: Check, limits: Mapping[str, Any]) -> Check:
    def check(value: Any, strict: bool) -> Any:
        value = then(value, strict)
        if value is not None and not _within(value, limits):
            raise Refused
        return value

    return check


def _within(value: Any, limits: Mapping[str, Any]) -> bool:
    return all(LIMITS[name](value, limit) for name, limit in limits.items())


def _matches(value: str, pattern: str) -> bool:
    """Of other text, Python's `\\s` and `$` take what pydantic's do not."""
    return value.isascii() and value.isprintable() and re.search(pattern, value) is not None


LIMITS: Mapping[str, Callable[[Any, Any], bool]] = {
    "ge": lambda value, limit: value >= limit,
    "gt": lambda value, limit: value > limit,
    "le": lambda value, limit: value <= limit,
    "max_length": lambda value, limit: len(value) <= limit,
    "pattern": _matches,
}
