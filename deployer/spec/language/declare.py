"""The words that sections are declared with: pydantic's own, as plain marks. `judge` hands them on to it when it is
needed; a spec without a mistake never does, and its import is a quarter of a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, TypeVar

from deployer.dataclass import dataclass

F = TypeVar("F")
MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class BeforeValidator:
    """Makes of what was written what the type asks for; ValueError where it cannot."""

    func: Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class PlainSerializer:
    func: Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class WithJsonSchema:
    schema: dict[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A key of a section: its type as written, its default and its limits."""

    annotation: Any = None
    default: Any = MISSING
    default_factory: Callable[[], Any] | None = None
    description: str | None = None
    limits: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def metadata(self) -> tuple[Any, ...]:
        """The marks on the key itself."""
        return getattr(self.annotation, "__metadata__", ())

    @property
    def is_required(self) -> bool:
        return self.default is MISSING and self.default_factory is None

    def usual(self) -> Any:
        return self.default_factory() if self.default_factory is not None else self.default


def Field(
    default: Any = MISSING,
    *,
    default_factory: Callable[[], Any] | None = None,
    description: str | None = None,
    **limits: Any,
) -> Any:
    """As pydantic's, with those of its limits that `accept` knows."""
    return FieldInfo(None, default, default_factory, description, limits)


def field_validator(*names: str, mode: str) -> Callable[[F], F]:
    """Of a class method that takes a key's value and returns what it is to be; it runs where the key is written."""
    assert mode == "after"
    return _marked("validates", names)


def model_validator(*, mode: str) -> Callable[[F], F]:
    """Of a method that looks at the section as a whole and returns it."""
    assert mode == "after"
    return _marked("judges", ())


def _marked(attribute: str, value: tuple[str, ...]) -> Callable[[F], F]:
    def mark(function: F) -> F:
        setattr(getattr(function, "__func__", function), attribute, value)
        return function

    return mark


def declared(annotation: Any, value: Any) -> FieldInfo:
    """The key that `name: annotation = value` declares in a class."""
    within = next(
        (mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, FieldInfo)), FieldInfo()
    )
    given = value if isinstance(value, FieldInfo) else FieldInfo(default=value)
    return FieldInfo(
        annotation,
        given.default,
        given.default_factory,
        given.description or within.description,
        {**within.limits, **given.limits},
    )


def unwrapped(annotation: Any) -> tuple[tuple[Any, ...], Any]:
    """The marks of an annotation, the innermost first, and what they are on."""
    metadata: tuple[Any, ...] = ()
    while hasattr(annotation, "__metadata__"):
        metadata = (*annotation.__metadata__, *metadata)
        annotation = annotation.__origin__
    return metadata, annotation
