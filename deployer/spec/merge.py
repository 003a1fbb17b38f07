"""Merging of two layers: maps merge, lists replace, `KEY+` appends, null resets, one-of maps replace whole."""

from __future__ import annotations

from deployer.dataclass import replace
from deployer.spec.nodes import Node
from deployer.spec.shape import Kind, Shape


def merge(under: Node | None, over: Node, shape: Shape) -> Node:
    """`over` on top of `under`. Nodes that were replaced stay reachable as `over` of those that replaced them."""
    if under is None:
        return over
    if shape.merges and isinstance(under.value, dict) and isinstance(over.value, dict):
        return over.with_value(_merged_entries(under.value, over.value, shape))
    return replace(over, over=under)


def _merged_entries(under: dict[str, Node], over: dict[str, Node], shape: Shape) -> dict[str, Node]:
    merged = dict(under)
    for key, node in over.items():
        if shape.appended(key) is None:
            merged.pop(f"{key}+", None)
            merged[key] = merge(merged.get(key), node, shape.of(key))
    for key, node in over.items():
        name = shape.appended(key)
        if name is not None:
            target = name if name in merged else key
            merged[target] = _joined(merged.get(target), node)
    return merged


def _joined(under: Node | None, over: Node) -> Node:
    if under is None or under.is_null:
        return over
    if isinstance(under.value, list) and isinstance(over.value, list):
        return over.with_value([*under.value, *over.value])
    return under if isinstance(over.value, list) else over  # whichever is no list: validation names it


def settle(node: Node, shape: Shape) -> Node:
    """The tree with every `KEY+` that found no list below it turned into `KEY`."""
    if isinstance(node.value, list):
        return node.with_value([settle(item, shape.of(index)) for index, item in enumerate(node.value)])
    if not isinstance(node.value, dict):
        return node
    settled: dict[str, Node] = {}
    for key, child in node.value.items():
        name = (shape.appended(key) if shape.kind is Kind.SECTION else None) or key
        child = settle(child, shape.of(name))
        settled[name] = _joined(settled.get(name), child) if name != key else child
    return node.with_value(settled)
