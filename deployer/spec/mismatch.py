"""pydantic's complaints, each at its node; of a union's alternatives only the one that was meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic
from deployer.spec.nodes import KeyPath, Node
from deployer.spec.shape import Shape
from deployer.spec.wording import is_type_error, missing_keys, unknown_key, unworded, wrong_value

Complaint = Mapping[str, Any]
MOST = 200  # complaints that are put into words: nobody reads more, and suggestions cost time
PLACEHOLDERS: Mapping[str, Any] = {"version": 1, "project": "unnamed", "services": {}}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A wrong value. Leaving out `path` and putting `filled` into the root lets the rest be validated."""

    path: KeyPath
    diagnostic: Diagnostic
    filled: Mapping[str, Node] = field(default_factory=dict)
    is_missing: bool = False
    is_broken: bool = False  # it was reported before


@dataclass(frozen=True, slots=True)
class Located:
    """A complaint at its node. `at`: where the alternatives of a union part, None outside unions."""

    complaint: Complaint
    path: KeyPath
    node: Node
    shape: Shape
    parent: Shape
    at: KeyPath | None = None
    alternative: str = ""

    @property
    def kind(self) -> str:
        return str(self.complaint["type"])


def mismatches(complaints: Sequence[Complaint], root: Node, shape: Shape) -> list[Mismatch]:
    """One mismatch for each wrong value, in the order of the text."""
    unions: dict[KeyPath, list[Located]] = {}
    groups: dict[tuple[KeyPath, bool], list[Located]] = {}
    for item in (_located(complaint, root, shape) for complaint in complaints):
        if item.at is None:
            groups.setdefault((item.path, item.kind == "missing"), []).append(item)
        else:
            unions.setdefault(item.at, []).append(item)
    for items in unions.values():
        for item in _best_alternative(items):
            groups.setdefault((item.path, item.kind == "missing"), []).append(item)
    ordered = sorted(groups.values(), key=lambda group: (group[0].node.line, group[0].node.column))
    return [_mismatch(group, root, worded=index < MOST) for index, group in enumerate(ordered)]


def _located(complaint: Complaint, root: Node, shape: Shape) -> Located:
    """Follows pydantic's path through the tree; steps that are no keys name an alternative of a union."""
    node, parent, alternative = root, shape, ""
    path: KeyPath = ()
    at: KeyPath | None = None
    location = complaint["loc"]
    for index, step in enumerate(location):
        child = node.at(step)
        if child is not None:
            node, path, parent, shape = child, (*path, step), shape, shape.of(step)
        elif complaint["type"] == "missing" and index == len(location) - 1:
            break
        elif at is None:
            at, alternative = path, str(step)
    return Located(complaint, path, node, shape, parent, at, alternative)


def _best_alternative(items: list[Located]) -> list[Located]:
    """Of a union's alternatives the one that fits furthest; all of them where none fits at all."""
    by_alternative: dict[str, list[Located]] = {}
    for item in items:
        by_alternative.setdefault(item.alternative, []).append(item)
    if all(_is_refused(item) for item in items):
        return items

    def fit(group: list[Located]) -> tuple[bool, int]:
        return not any(_is_refused(item) for item in group), -len(group)

    return max(by_alternative.values(), key=fit)


def _is_refused(item: Located) -> bool:
    """Whether the value as a whole is of another type than the alternative asks for."""
    return item.path == item.at and is_type_error(item.kind)


def _mismatch(group: list[Located], root: Node, *, worded: bool) -> Mismatch:
    first = group[0]
    if first.kind == "missing":
        keys = sorted({str(item.complaint["loc"][-1]) for item in group})
        filled = {} if first.path else _placeholders(root, keys)
        return Mismatch(first.path, missing_keys(first.node, keys), filled, is_missing=True)
    filled = _placeholders(root, [str(first.path[0])]) if len(first.path) == 1 else {}
    if not worded:
        return Mismatch(first.path, unworded(first.node), filled)
    if first.kind == "extra_forbidden":
        return Mismatch(first.path, unknown_key(first.node, str(first.path[-1]), first.parent.fields), filled)
    wrong = wrong_value(first.node, [item.complaint for item in group], first.shape)
    return Mismatch(first.path, wrong, filled, is_broken=first.node.is_broken)


def _placeholders(root: Node, keys: Sequence[str]) -> dict[str, Node]:
    return {key: replace(root, value=PLACEHOLDERS[key], path=(key,)) for key in keys if key in PLACEHOLDERS}
