"""The normal form of a written tree: short forms spelled out, text where text is meant, `x-` keys dropped."""

from __future__ import annotations

from typing import Any

from deployer.dataclass import replace
from deployer.spec.language.base import parse_text
from deployer.spec.nodes import Node
from deployer.spec.shape import Kind, Shape


def conform(node: Node, shape: Shape) -> Node:
    """The tree in normal form. What does not have the shape stays as it is, for validation to complain of."""
    if node.is_null:
        return node
    if shape.kind is Kind.TEXT:
        return _text(node)
    if shape.kind is Kind.SECTION and shape.short is not None and not isinstance(node.value, dict):
        node = node.with_value({shape.short: node})
    if _is_only_item(node, shape):
        node = node.with_value([node])
    if isinstance(node.value, dict):
        return node.with_value(_entries(node, shape))
    if isinstance(node.value, list):
        return node.with_value([conform(item, shape.of(index)) for index, item in enumerate(node.value)])
    return node


def _is_only_item(node: Node, shape: Shape) -> bool:
    """Whether a list was written as its only item. A map may be one where items are no text."""
    if isinstance(node.value, list) or not (shape.bare or shape.kind is Kind.CHOICE):
        return False
    return not isinstance(node.value, dict) or (shape.bare and shape.of(0).kind is not Kind.TEXT)


def _entries(node: Node, shape: Shape) -> dict[str, Node]:
    if shape.kind is not Kind.SECTION:
        return {key: conform(child, shape.of(key)) for key, child in node.map.items()}
    return {
        key: conform(child, shape.of(shape.appended(key) or key))
        for key, child in node.map.items()
        if not key.startswith("x-")
    }


def _text(node: Node) -> Node:
    """Numbers and booleans as they were typed, so that `version: 1.10` is not `1.1`."""
    if isinstance(node.value, bool | int | float):
        return replace(node, value=node.written or str(parse_text(node.value)), written=None)
    return node


def data_of(node: Node, shape: Shape) -> Any:
    """What pydantic validates: tuples where the language has lists, null entries left out."""
    if isinstance(node.value, dict):
        return {key: data_of(child, shape.of(key)) for key, child in node.value.items() if child.value is not None}
    if isinstance(node.value, list):
        items = [data_of(item, shape.of(index)) for index, item in enumerate(node.value)]
        return items if shape.kind is Kind.FREE else tuple(items)
    return node.value
