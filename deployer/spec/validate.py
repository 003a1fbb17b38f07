"""Trees against the language's models: every mismatch becomes a diagnostic at its place."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from deployer.dataclass import replace
from deployer.errors import Problems
from deployer.spec.conform import data_of
from deployer.spec.nodes import KeyPath, Node
from deployer.spec.scalars import parse_scalar
from deployer.spec.shape import section

M = TypeVar("M", bound=BaseModel)
MOST_COMPLAINTS = 1000  # a file with more is not looked at any further
ROUNDS = 8  # a value that was left out can leave its parent wrong, and so on


def validate(model: type[M], root: Node, problems: Problems, *, partial: bool = False) -> M | None:
    """The model, with what was wrong left out and said in `problems`, so that the rest can be checked as well.

    None where nothing could be made of it. `partial`: keys that are missing may come from elsewhere.
    """
    shape = section(model)
    pruned: set[KeyPath] = set()
    for _ in range(ROUNDS):
        try:
            return model.model_validate(data_of(root, shape), strict=True)
        except ValidationError as error:
            complaints = error.errors(include_url=False, include_input=False)
        from deployer.spec.mismatch import mismatches

        found = mismatches(complaints[:MOST_COMPLAINTS], root, shape)
        reread = _reread(root, [m.path for m in found])
        if reread is not None:
            root = reread
            continue
        said = [m for m in found if not (m.path in pruned or m.is_broken or (partial and m.is_missing))]
        problems.extend([m.diagnostic for m in said])
        if len(complaints) > MOST_COMPLAINTS:
            return None
        wrong = {_whole(m.path) for m in found}
        values = [_whole(m.path) for m in found if m.diagnostic.code != "unknown-key"]
        pruned |= {path[:end] for path in values for end in range(len(path) + 1)}  # what they lack now is our doing
        root = _without(root, wrong)
        root = root.with_value({**root.map, **{key: node for m in found for key, node in m.filled.items()}})
    return None


def _whole(path: KeyPath) -> KeyPath:
    """The path up to the first list: a list without one of its items would mean something else."""
    return next((path[:end] for end, key in enumerate(path) if isinstance(key, int)), path)


def _reread(root: Node, paths: Iterable[KeyPath]) -> Node | None:
    """The tree with variables that stand for a whole value read as YAML: `port: ${var.port}`. None: there are none."""
    changed = None
    for path in paths:
        node = (changed or root).at(*path)
        if node is not None and node.from_variable and isinstance(node.value, str):
            value = parse_scalar(node.value)
            changed = _replaced(changed or root, path, replace(node, value=value, from_variable=False))
    return changed


def _replaced(root: Node, path: KeyPath, node: Node) -> Node:
    """The tree with another node at a path that it has."""
    if not path:
        return node
    key, rest = path[0], path[1:]
    if isinstance(root.value, dict) and isinstance(key, str):
        return root.with_value({**root.value, key: _replaced(root.value[key], rest, node)})
    return root.with_value([_replaced(c, rest, node) if i == key else c for i, c in enumerate(root.items)])


def _without(node: Node, paths: Set[KeyPath], path: KeyPath = ()) -> Node:
    """The tree without what stands at these paths."""
    if not isinstance(node.value, dict):
        return node
    kept = {key: (child, (*path, key)) for key, child in node.value.items() if (*path, key) not in paths}
    return node.with_value({key: _without(child, paths, below) for key, (child, below) in kept.items()})
