"""Bounds what a template may do: a subset of jinja2, and fuel that every loop and every new value costs.

jinja2's own sandbox keeps templates from reaching Python; it does not keep them from taking forever or all memory.
Here each loop, comparison and value that is built pays for its size, so that any template ends soon. Imported only
where a template is compiled, since jinja2 is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from deployer.values.canonical import digest

FUEL = 500_000  # some tenths of a second; a built-in template takes some hundreds
FUEL_NAME = "fuel_"  # the template's own names may not begin so
VALUES = FUEL_NAME + "values"
LOOP = ("first", "index", "index0", "last", "length")

ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign, nodes.Const, nodes.Name,
    nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.CondExpr,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Test, nodes.Filter, nodes.Concat, nodes.Add,
    nodes.Sub, nodes.Mul, nodes.FloorDiv, nodes.Div, nodes.Mod, nodes.Neg, nodes.Call, nodes.Keyword,
)  # fmt: skip
CALLABLE = ("range", "flag", "refuse")
FILTERS = (
    "d", "default", "digest", "first", "int", "items", "join", "last", "length", "list", "literal", "lower", "map",
    "round", "string", "tojson", "trim", "upper",
)  # fmt: skip
TESTS = ("defined", "undefined", "none", "true", "false", "number", "string", "mapping", "sequence")


class OutOfFuel(SecurityError):
    pass


class RefusedNode(SecurityError):
    """What a template may not have, with its line."""

    def __init__(self, node: nodes.Node, message: str) -> None:
        super().__init__(message)
        self.line = node.lineno


class Fuel:
    """One render's budget; its methods are what the transformed template calls."""

    def __init__(self, amount: int = FUEL) -> None:
        self.left = amount

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise OutOfFuel("the template does too much")

    def weighed(self, value: Any) -> Any:
        """The value, paid for by its size as a tree (shared parts count each time they are met)."""
        pending = [value]
        while pending:
            item = pending.pop()
            self.spend(1 + len(item) if isinstance(item, str) else 1)
            if isinstance(item, dict):
                pending.extend(item.values())
            elif isinstance(item, list | tuple):
                pending.extend(item)
            elif isinstance(item, int) and item.bit_length() > 64:
                raise OutOfFuel("a number is too large")
        return value

    def joined(self, *parts: Any) -> str:
        """What `~` does, for texts and numbers."""
        for part in parts:
            if not isinstance(part, str | int | float):
                raise SecurityError(f"`~` joins texts and numbers, not {type(part).__name__}")
        return str(self.weighed("".join(str(self.weighed(part)) for part in parts)))

    def listed(self, items: Any, separator: str = "") -> str:
        """What the filter `join` does."""
        texts = [str(self.weighed(item)) for item in self.looped(items, 1 + len(str(separator)))]
        return str(separator).join(texts)

    def looped(self, items: Any, cost: int) -> Iterator[Any]:
        """The items of a loop whose body has `cost` nodes."""
        if not isinstance(items, Iterable):
            raise SecurityError(f"`for` goes over lists and maps, not {type(items).__name__}")
        for item in items:
            self.spend(cost)
            yield item

    def ranged(self, *bounds: int) -> range:
        span = range(*bounds)
        self.spend(len(span))
        return span


class Fuelled(NodeTransformer):
    """Refuses what is outside the subset and routes what may grow through `Fuel`."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        if not isinstance(node, ALLOWED):
            raise RefusedNode(node, f"templates have no `{type(node).__name__.lower()}`")
        return super().generic_visit(node, *args, **kwargs)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        if node.name.startswith(FUEL_NAME):
            raise RefusedNode(node, f"the name `{node.name}` is taken")
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise RefusedNode(node, "templates have no recursive loops")
        cost = 1 + sum(1 for _ in node.find_all(nodes.Node))
        self.generic_visit(node)
        node.iter = _call("looped", node.iter, nodes.Const(cost))
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        if not isinstance(node.node, nodes.Name) or node.node.name not in CALLABLE:
            raise RefusedNode(node, f"only {', '.join(CALLABLE[:-1])} and {CALLABLE[-1]} can be called")
        if node.dyn_args or node.dyn_kwargs or node.kwargs:
            raise RefusedNode(node, f"`{node.node.name}` takes plain arguments only")
        node.args = [self.visit(arg) for arg in node.args]
        if node.node.name == "range":
            return _call("ranged", *node.args)
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        if node.name not in FILTERS:
            raise RefusedNode(node, f"the filter `{node.name}` is not among {', '.join(FILTERS)}")
        if node.name == "map" and (node.args or [k.key for k in node.kwargs] != ["attribute"]):
            raise RefusedNode(node, "`map` is for attributes: `map(attribute='path')`")
        self.generic_visit(node)
        if node.node is None or node.name in ("default", "d"):
            return node
        if node.name == "join":
            return _call("listed", node.node, *node.args)
        node.node = _call("weighed", node.node)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:
        if node.name not in TESTS:
            raise RefusedNode(node, f"the test `{node.name}` is not among {', '.join(TESTS)}")
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("joined", *node.nodes)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _call("weighed", node.expr)
        for operand in node.ops:
            operand.expr = _call("weighed", operand.expr)
        return node

    def _built(self, node: nodes.Node) -> nodes.Node:
        self.generic_visit(node)
        return node if getattr(node, "ctx", "load") == "store" else _call("weighed", node)

    visit_List = visit_Tuple = visit_Dict = _built
    visit_Getitem = _built  # a slice is a copy

    def _counted(self, node: nodes.BinExpr) -> nodes.Node:
        self.generic_visit(node)
        node.left, node.right = _call("weighed", node.left), _call("weighed", node.right)
        return _call("weighed", node)

    visit_Add = visit_Sub = visit_FloorDiv = visit_Div = _counted

    def _numeric(self, node: nodes.BinExpr) -> nodes.Node:
        self.generic_visit(node)
        node.left, node.right = _call("number", node.left), _call("number", node.right)
        return _call("weighed", node)

    visit_Mul = visit_Mod = _numeric


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """Values are data: maps have their keys, lists their items, loops their counters, and nothing has attributes."""

    def __init__(self, placeholder: Callable[[int], str]) -> None:
        @pass_context
        def finalize(context: Context, value: Any) -> str:
            if isinstance(value, Undefined):
                str(value)  # raises, and names what is undefined
            if not isinstance(value, str | int | float | list | tuple | dict | None):
                raise SecurityError(f"a template makes texts, numbers, lists and maps, not {type(value).__name__}")
            values: list[Any] = context[VALUES]
            values.append(value)
            return placeholder(len(values) - 1)

        super().__init__(undefined=StrictUndefined, finalize=finalize, trim_blocks=True, lstrip_blocks=True)
        own = {"digest": as_digest, "literal": as_literal, "tojson": to_json}
        self.filters = {name: self.filters[name] for name in FILTERS if name not in own} | own
        self.globals = {}

    def call(self, context: Context, function: Any, *args: Any, **scope: Any) -> Any:
        """`Fuelled` lets only functions of ours be called; looking at each of them anew took half of a render."""
        return function(*args)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict | list | tuple | str):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                return self.undefined(obj=obj, name=argument)
        return self.undefined(obj=obj, name=argument)


def _call(method: str, *args: nodes.Node) -> nodes.Call:
    return nodes.Call(nodes.Name(FUEL_NAME + method, "load"), list(args), [], None, None)


def number(value: Any) -> int | float:
    """`*` and `%` are for numbers: on text and lists they repeat and format."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SecurityError(f"`*` and `%` are for numbers, not {type(value).__name__}")
    if isinstance(value, int) and value.bit_length() > 64:
        raise OutOfFuel("a number is too large")
    return value


def to_json(value: Any) -> str:
    """JSON in one line, for options that a backend takes as JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def as_digest(value: Any) -> str:
    """Sixteen hex digits that stand for a value: a mark to leave behind, and to look for."""
    return digest(value)[:16]


def as_literal(value: Any) -> str:
    """A regular expression that finds the text as it is."""
    return re.escape(str(value))


def fuel_names(fuel: Fuel) -> dict[str, Any]:
    """What a transformed template calls, by the names it uses."""
    found = (fuel.weighed, fuel.joined, fuel.listed, fuel.looped, fuel.ranged, number)
    return {FUEL_NAME + method.__name__: method for method in found}
