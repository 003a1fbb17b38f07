"""Positions and origins of merged values, as maps that look them up in the tree only when asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from deployer.dataclass import dataclass
from deployer.errors import Where
from deployer.spec.nodes import KeyPath, Node


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a merged value comes from, and what it overrode, the nearest first.

    `layer`: `spec`, `profile long-context`, `defaults`, `backend vllm`, `group prod`, `inventory`, `edition`.
    """

    layer: str
    where: Where | None = None
    over: tuple[Origin, ...] = ()


EDITION = Origin("edition")  # nobody wrote it: the default of this edition of the language


def origin_of(node: Node) -> Origin:
    over: list[Origin] = []
    below = node.over
    while below is not None:
        over.append(Origin(below.layer, below.where))
        below = below.over
    return Origin(node.layer, node.where, tuple(over))


class Positions(Mapping[KeyPath, Where]):
    """Of every key and list item of the merged spec."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._known: dict[KeyPath, Where] = {}

    def __getitem__(self, path: KeyPath) -> Where:
        if path not in self._known:
            self._known[path] = _found(self._root, path).where
        return self._known[path]

    def __iter__(self) -> Iterator[KeyPath]:
        return (path for path, _ in self._root.walk() if path)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Origins(Mapping[KeyPath, Origin]):
    """Of every value of the merged services and hosts that somebody wrote: iterates leaves, knows maps too."""

    def __init__(self, root: Node) -> None:
        self._root = root

    def __getitem__(self, path: KeyPath) -> Origin:
        if path[:1] not in (("services",), ("hosts",)):
            raise KeyError(path)
        return origin_of(_found(self._root, path))

    def __iter__(self) -> Iterator[KeyPath]:
        for section in ("hosts", "services"):
            node = self._root.at(section)
            if node is not None:
                yield from (path for path, child in node.walk((section,)) if _is_leaf(child) and len(path) > 2)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _is_leaf(node: Node) -> bool:
    return not (isinstance(node.value, dict | list) and node.value)


def _found(root: Node, path: KeyPath) -> Node:
    node = root.at(*path) if path else None
    if node is None:
        raise KeyError(path)
    return node
