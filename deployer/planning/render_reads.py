"""Which names of its context a template reads, by its syntax tree. Imported where one is compiled, as jinja2 is."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

COUNTED = ("gpus",)  # of these it may ask whether and how many there are without reading them


def names_read(tree: nodes.Template) -> frozenset[str]:
    """Names whose values can show in what the template makes; of `gpus` it may see the number all the same."""
    return frozenset(_names(tree, False))


def _names(node: nodes.Node, as_count: bool) -> Iterator[str]:
    if isinstance(node, nodes.Name):
        if node.ctx == "load" and not (as_count and node.name in COUNTED):
            yield node.name
        return
    for child in node.iter_child_nodes():
        yield from _names(child, _is_counted(node, child, as_count))


def _is_counted(node: nodes.Node, child: nodes.Node, as_count: bool) -> bool:
    """Whether only the child's truth or length matters, where only those of the node do if `as_count`."""
    match node:
        case nodes.If() | nodes.CondExpr():
            return child is node.test
        case nodes.Filter(name="length"):
            return child is node.node
        case nodes.And() | nodes.Or():
            return as_count
        case _:
            return isinstance(node, nodes.Not)
