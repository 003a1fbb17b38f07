"""`dataclass` as the standard library has it, but what it makes of a class is made when it is first needed.

The standard one looks at every field and compiles six methods for each frozen class that is imported, one to two
milliseconds a class before Python 3.13: with the two hundred and forty classes of `deployer plan` a third of all it
does. Checkers see the standard one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from dataclasses import dataclass as standard
from functools import cache
from inspect import get_annotations
from itertools import chain
from operator import attrgetter
from reprlib import recursive_repr
from threading import RLock
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NoReturn

Values = Callable[[Any], tuple[Any, ...]]
FEW = 100  # objects of one class that are made before it is worth a written `__init__`


def late(*, frozen: bool = False, slots: bool = False, order: bool = False) -> Callable[[type], type]:
    """The decorator. Knows `field`, except for fields by keyword only; knows no InitVar, and ClassVar by that name."""

    def decorate(written: type) -> type:
        if order:
            return standard(frozen=frozen, slots=slots, order=True)(written)
        written.__doc__ = written.__doc__ or written.__name__  # or a signature would be made up, which takes longest
        own = {name for name, value in vars(written).items() if value is not None}
        added = {name: method for name, method in methods(frozen, slots).items() if name not in own}
        if slots:
            return slotted(written, added)
        made: type = standard(init=False, repr=False, eq=False)(written)
        for name, method in added.items():
            setattr(made, name, method)
            if isinstance(method, Late | LateInit):
                method.__set_name__(made, name)
        return made

    return decorate


def slotted(written: type, added: dict[str, Any]) -> type:
    """The class with slots for its own fields, and not yet looked at."""
    names = [name for name, kind in get_annotations(written).items() if "ClassVar" not in str(kind)]
    inherited = set(chain.from_iterable(base.__dict__.get("__slots__", ()) for base in written.__mro__[1:]))
    dropped = {*names, "__dict__", "__weakref__"}
    body = {name: value for name, value in vars(written).items() if name not in dropped}
    body |= {"__slots__": tuple(name for name in names if name not in inherited), "__qualname__": written.__qualname__}
    look = Look(written)
    body |= {name: Late(look) for name in ("__dataclass_fields__", "__dataclass_params__", "__match_args__")}
    return type(written)(written.__name__, written.__bases__, {**body, **added})


def methods(frozen: bool, slots: bool) -> dict[str, Any]:
    found = {"__init__": LateInit(frozen, slots), "__repr__": shown, "__eq__": Late(equality)}
    if not frozen:
        return {**found, "__hash__": None}
    state = {"__getstate__": taken_apart, "__setstate__": put_together}
    return {**found, **state, "__hash__": Late(hashing), "__setattr__": refused, "__delattr__": refused}


MAKING = RLock()  # threads need the same class for the first time at once


class Late:
    """Stands for an attribute of a class until it is looked up the first time."""

    def __init__(self, make: Callable[[Any, str], Any]) -> None:
        self.make = make

    def __set_name__(self, made: type, name: str) -> None:
        self.made, self.name = made, name

    def __get__(self, instance: object, kind: type) -> Any:
        with MAKING:
            value = self.made.__dict__[self.name]
            if value is self:
                value = self.make(self.made, self.name)
                setattr(self.made, self.name, value)
        return value if instance is None or not isinstance(value, FunctionType) else MethodType(value, instance)


class Look:
    """What the standard library finds in a class as it is written, which it changes: once."""

    def __init__(self, written: type) -> None:
        self.written, self.is_done = written, False

    def __call__(self, made: type, name: str) -> Any:
        if not self.is_done:
            standard(init=False, repr=False, eq=False)(self.written)
            self.is_done = True
        return self.written.__dict__[name]


def values_of(made: type, which: Callable[[Field[Any]], bool | None]) -> Values:
    names = [f.name for f in fields(made) if which(f)]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def equality(made: type, name: str) -> Callable[[Any, object], bool]:
    values = values_of(made, lambda f: f.compare)

    def __eq__(self: Any, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def hashing(made: type, name: str) -> Callable[[Any], int]:
    values = values_of(made, lambda f: f.compare if f.hash is None else f.hash)

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
    """Stands for `__init__` until some objects were made, or whoever inspects the class asks for it.

    To write one and have it compiled takes as long as to make a hundred objects without it.
    """

    def __init__(self, frozen: bool, slots: bool) -> None:
        self.frozen, self.slots = frozen, slots
        self.left = FEW
        self.filling: Filling | None = None

    def __set_name__(self, made: Any, name: str) -> None:
        self.made = made

    def __get__(self, instance: object, kind: type) -> Any:
        if instance is not None and self.left > 0:
            self.left -= 1
            self.filling = self.filling or Filling(self.made, self)
            return MethodType(self.filling, instance)
        return self.written().__get__(instance, kind)

    def written(self) -> Any:
        self.made.__init__ = function = written_init(self.made, self.frozen, self.slots)
        return function


class Filling:
    """What `__init__` does, for any arguments."""

    def __init__(self, made: type, late: LateInit) -> None:
        self.late = late
        every = fields(made)
        self.names = tuple(f.name for f in every if f.init)
        self.most = frozenset(self.names)
        self.plain = {f.name: f.default for f in every if f.default is not MISSING}
        self.made_anew = [(f.name, f.default_factory) for f in every if f.default_factory is not MISSING]
        self.least = self.most.difference(self.plain, (name for name, _ in self.made_anew))
        self.goes_on = hasattr(made, "__post_init__")

    def __call__(self, instance: Any, *given: Any, **named: Any) -> None:
        values = dict(zip(self.names, given, strict=False))
        fits = len(values) == len(given) and values.keys().isdisjoint(named)
        values.update(named)
        if not (fits and self.least <= values.keys() <= self.most):
            self.late.written()(instance, *given, **named)  # which says what is wrong
            return
        for name, make in self.made_anew:
            if name not in values:
                values[name] = make()
        for name, value in {**self.plain, **values}.items():
            put(instance, name, value)
        if self.goes_on:
            instance.__post_init__()


put = object.__setattr__


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
    places, values = _given(kind)
    given = [*values(self)]
    try:
        for name, value in changes.items():
            given[places[name]] = value
    except KeyError as error:
        raise TypeError(f"{kind.__name__} takes no {error}") from None
    return kind(*given)


@cache
def _given(kind: type) -> tuple[dict[str, int], Values]:
    """The place of each field among the arguments, and what reads them all."""
    names = [f.name for f in fields(kind) if f.init]
    return {name: place for place, name in enumerate(names)}, values_of(kind, lambda f: f.init)


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
