"""`dataclass` as the standard library has it, but its methods are written when they are first needed.

The standard one compiles six methods for each frozen class that is imported, one to two milliseconds a class before
Python 3.13: with the two hundred classes of `deployer plan` a third of all it does. Checkers see the standard one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from dataclasses import dataclass as standard
from functools import cache
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn

Values = Callable[[Any], tuple[Any, ...]]


def late(*, frozen: bool = False, slots: bool = False, order: bool = False) -> Callable[[type], type]:
    """The decorator. Knows `field`, except for fields by keyword only; knows no InitVar."""

    def decorate(written: type) -> type:
        if order:
            return standard(frozen=frozen, slots=slots, order=True)(written)
        written.__doc__ = written.__doc__ or written.__name__  # or a signature would be made up, which takes longest
        made: type = standard(init=False, repr=False, eq=False, slots=slots)(written)
        own = {name for name, value in vars(written).items() if value is not None}
        for name, method in methods(made, frozen, slots).items():
            if name not in own:
                setattr(made, name, method)
        return made

    return decorate


def methods(made: type, frozen: bool, slots: bool) -> dict[str, Any]:
    compared = values_of(made, lambda f: f.compare)
    found = {"__init__": LateInit(made, frozen, slots), "__repr__": shown, "__eq__": equality(compared)}
    if not frozen:
        return {**found, "__hash__": None}
    hashed = values_of(made, lambda f: f.compare if f.hash is None else f.hash)
    state = {"__getstate__": taken_apart, "__setstate__": put_together}
    return {**found, **state, "__hash__": hashing(hashed), "__setattr__": refused, "__delattr__": refused}


def values_of(made: type, which: Callable[[Field[Any]], bool | None]) -> Values:
    names = [f.name for f in fields(made) if which(f)]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def equality(values: Values) -> Callable[[Any, object], bool]:
    def __eq__(self: Any, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def hashing(values: Values) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


@recursive_repr()
def shown(self: Any) -> str:
    parts = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(parts)})"


def refused(self: object, name: str, value: object = None) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to or delete field {name!r}")


def taken_apart(self: Any) -> list[Any]:
    return [getattr(self, f.name) for f in fields(self)]


def put_together(self: Any, state: list[Any]) -> None:
    for f, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, f.name, value)


class LateInit:
    """Stands for `__init__` until it is looked up the first time, by a call or by whoever inspects the class."""

    def __init__(self, made: type, frozen: bool, slots: bool) -> None:
        self.made, self.frozen, self.slots = made, frozen, slots

    def __get__(self, instance: object, kind: type | None = None) -> Any:
        function = written_init(self.made, self.frozen, self.slots)
        self.made.__init__ = function  # type: ignore[misc]
        return function.__get__(instance, kind)


def written_init(made: Any, frozen: bool, slots: bool) -> Any:
    """`__init__` as the standard library writes it. That of a frozen class sets its slots themselves: quicker still."""
    known: dict[str, Any] = {"_MISSING": MISSING, "_set": object.__setattr__}
    parameters, body = ["self"], []
    for f in fields(made):
        value = f.name
        if f.default_factory is not MISSING:
            known[f"_new_{f.name}"] = f.default_factory
            value = f"_new_{f.name}() if {f.name} is _MISSING else {f.name}" if f.init else f"_new_{f.name}()"
        elif f.default is not MISSING:
            known[f"_default_{f.name}"] = f.default
            value = f.name if f.init else f"_default_{f.name}"
        elif not f.init:
            continue
        if f.init:
            parameters.append(f.name + default_text(f))
        if frozen and slots:
            known[f"_set_{f.name}"] = getattr(made, f.name).__set__
            body.append(f"_set_{f.name}(self, {value})")
        else:
            body.append(f"_set(self, {f.name!r}, {value})" if frozen else f"self.{f.name} = {value}")
    if hasattr(made, "__post_init__"):
        body.append("self.__post_init__()")
    return compiled(made, known, parameters, body)


def default_text(f: Field[Any]) -> str:
    if f.default_factory is not MISSING:
        return "=_MISSING"
    return f"=_default_{f.name}" if f.default is not MISSING else ""


def changed(self: Any, /, **changes: Any) -> Any:
    """As `dataclasses.replace` does it, without a look at every field each time."""
    kind = self.__class__
    names, values = _given(kind)
    return kind(**{**dict(zip(names, values(self), strict=True)), **changes})


@cache
def _given(kind: type) -> tuple[tuple[str, ...], Values]:
    names = tuple(f.name for f in fields(kind) if f.init)
    return names, values_of(kind, lambda f: f.init)


def compiled(made: Any, known: dict[str, Any], parameters: list[str], body: list[str]) -> Any:
    lines = "\n  ".join(body or ["pass"])
    text = f"def write({', '.join(known)}):\n def __init__({', '.join(parameters)}):\n  {lines}\n return __init__"
    found: dict[str, Any] = {}
    exec(text, sys.modules[made.__module__].__dict__, found)
    function = found["write"](**known)
    function.__qualname__ = f"{made.__qualname__}.__init__"
    function.__annotations__ = {f.name: f.type for f in fields(made) if f.init} | {"return": None}
    return function


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import replace as replace
else:
    dataclass, replace = late, changed
