"""The shape of the language, read off its models: which keys a section has, what is a list, a map, or text.

Merging, the short forms and suggestions need it; what a value may be is pydantic's to say.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache, cached_property
from typing import Any

from pydantic import BaseModel, BeforeValidator

from deployer.dataclass import dataclass
from deployer.spec.language import DeploySpec, Group, Host, Inventory, Options, Service
from deployer.spec.language.base import listed, parse_text, secret_or_text
from deployer.spec.language.container import SecretFileOptions, ShippedFileOptions, short_file, short_secret_file
from deployer.spec.language.hosts import short_group
from deployer.spec.language.project import Defaults, SecretSource
from deployer.spec.language.services import Image, ServedModel, short_image, short_port

SHORT_FORMS = {
    short_port: "number",
    short_file: "path",
    short_secret_file: "secret",
    short_group: "hosts",
    short_image: "name",
}
ONE_OF = (SecretSource, ShippedFileOptions, SecretFileOptions, Image)  # their keys exclude each other


class Kind(Enum):
    SECTION = "a map of known keys"
    MAPPING = "a map of free keys"
    LIST = "a list"
    CHOICE = "a map or a list"
    TEXT = "text"
    VALUE = "a single value"
    FREE = "anything"


@dataclass(frozen=True)
class Shape:
    """`item`: of maps with free keys and of lists. `short`: the key that a bare value stands for. `replaces`: a higher
    layer takes the whole place of a lower one instead of merging into it."""

    kind: Kind
    model: type[BaseModel] | None = None
    item: Shape | None = None
    short: str | None = None
    replaces: bool = False
    bare: bool = False  # a list that may be written as its only item

    @property
    def merges(self) -> bool:
        return not self.replaces and self.kind in (Kind.SECTION, Kind.MAPPING, Kind.FREE)

    @cached_property
    def fields(self) -> Mapping[str, Shape]:
        return fields_of(self.model) if self.model is not None else {}

    def of(self, key: str | int) -> Shape:
        """The shape of what stands under a key or index."""
        if self.kind is Kind.SECTION:
            return self.fields.get(str(key), FREE)
        return self.item or FREE

    def appended(self, key: str) -> str | None:
        """The list that a key such as `args+` appends to; None for any other key."""
        if not key.endswith("+"):
            return None
        return key[:-1] if self.of(key[:-1]).kind is Kind.LIST else None


FREE = Shape(Kind.FREE)
TEXT = Shape(Kind.TEXT)
VALUE = Shape(Kind.VALUE)


def section(model: type[BaseModel], short: str | None = None) -> Shape:
    return Shape(Kind.SECTION, model=model, short=short, replaces=model in ONE_OF)


@cache
def fields_of(model: type[BaseModel]) -> Mapping[str, Shape]:
    """The shape of each key of a section."""
    hints = typing.get_type_hints(model, include_extras=True)
    found = {name: shape_of(hints[name]) for name in model.model_fields}
    return {**found, **_PARTIAL.get(model, {})}


def shape_of(hint: Any) -> Shape:
    metadata, hint = _unwrapped(hint)
    checks = {m.func for m in metadata if isinstance(m, BeforeValidator)}
    if checks & {parse_text, secret_or_text}:
        return TEXT
    short = next((SHORT_FORMS[check] for check in checks if check in SHORT_FORMS), None)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _union_shape([shape_of(arg) for arg in args if arg is not type(None)])
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return section(hint, short)
    if origin is dict:
        return FREE if args[1] is Any else Shape(Kind.MAPPING, item=shape_of(args[1]))
    if origin is tuple:
        return Shape(Kind.LIST, item=shape_of(args[0]), bare=listed in checks)
    return FREE if hint is Any else VALUE


def _unwrapped(hint: Any) -> tuple[tuple[Any, ...], Any]:
    metadata: tuple[Any, ...] = ()
    while hasattr(hint, "__metadata__"):
        metadata += hint.__metadata__
        hint = hint.__origin__
    return metadata, hint


def _union_shape(members: list[Shape]) -> Shape:
    """Of alternatives: the section among them, a selector (map or list, whole), or the only one that has parts."""
    by_kind = {member.kind: member for member in members}
    if Kind.SECTION in by_kind:
        return by_kind[Kind.SECTION]
    if Kind.MAPPING in by_kind and Kind.LIST in by_kind:
        return Shape(Kind.CHOICE, item=TEXT, replaces=True)
    if Kind.LIST in by_kind:
        lists = [member for member in members if member.kind is Kind.LIST]
        single = len(members) == 1
        return lists[0] if single else Shape(Kind.LIST, item=lists[0].item, replaces=True)
    return members[0] if len(members) == 1 else (TEXT if set(by_kind) == {Kind.TEXT} else VALUE)


# parts of the language that pydantic sees as free maps because they are incomplete by themselves
_PARTIAL: Mapping[type[BaseModel], Mapping[str, Shape]] = {
    DeploySpec: {"profiles": Shape(Kind.MAPPING, item=section(Service))},
    Defaults: {"service": section(Service)},
    Group: {"defaults": section(Host)},
    ServedModel: {"options": section(Options)},
}
SPEC = section(DeploySpec)
SERVICE = section(Service)
HOST = section(Host)
INVENTORY = section(Inventory)
