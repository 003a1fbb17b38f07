"""Keys that the language has and this version does not build: an error with what to do instead, never ignored."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import BaseModel

from deployer.errors import Diagnostic, Problems
from deployer.spec.check.context import Checked, walk_values
from deployer.spec.language.base import NotYet
from deployer.spec.nodes import KeyPath, Node

MIRRORED = ("hf", "modelscope", "https")  # sources that may stand for each other


def check_support(checked: Checked) -> None:
    for path, instead in not_yet(checked.spec):
        _refuse(checked, path, instead)
    for name, model in checked.spec.models.items():
        schemes = {source.partition("://")[0] for source in model.source}
        if len(model.source) > 1 and not schemes.issubset(MIRRORED):
            instead = "name one, or several of " + ", ".join(f"`{scheme}://`" for scheme in MIRRORED)
            _refuse(checked, ("models", name, "source"), instead, "such a list of sources")


def not_yet(value: Any) -> Iterable[tuple[KeyPath, str]]:
    """Paths of fields marked `NotYet` that are used, with what to do instead."""
    for path, model in walk_values(value):
        if isinstance(model, BaseModel):
            marks = _marks(type(model))
            for name in sorted(marks.keys() & model.model_fields_set):
                default = type(model).model_fields[name].get_default(call_default_factory=True)
                if getattr(model, name) != default:
                    yield (*path, name), marks[name].instead


@cache
def _marks(section: type[BaseModel]) -> dict[str, NotYet]:
    """Of those of its fields that are marked."""
    marks = ((name, mark) for name, field in section.model_fields.items() for mark in field.metadata)
    return {name: mark for name, mark in marks if isinstance(mark, NotYet)}


def check_part(part: Node, value: BaseModel, problems: Problems) -> None:
    """Profiles and defaults by themselves, used or not."""
    for path, instead in not_yet(value):
        node = part.at(*path) or part
        message = f"`{path[-1]}` is not supported yet"
        problems.add(Diagnostic("not-supported-yet", message, node.where, hint=instead))


def _refuse(checked: Checked, path: KeyPath, instead: str, what: str = "") -> None:
    what = what or f"`{path[-1]}`"
    checked.error("not-supported-yet", f"{what} is not supported yet", path, instead)
