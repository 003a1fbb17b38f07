"""Nodes: YAML values that know where they were written and in which layer. Knows nothing of the language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from deployer.dataclass import dataclass
from deployer.errors import Where
from deployer.spec.masking import mask_line, mask_secrets

Scalar = str | int | float | bool | None
KeyPath = tuple[str | int, ...]

BREAK = re.compile(r"\r\n|\r|\n")
PLAIN_KEY = re.compile(r"[A-Za-z0-9_+-]+\Z")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
SHOWN_CHARACTERS = 200  # of a line in a diagnostic


def shown(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """Somebody's text fit to be shown: masked, without control characters, not too long."""
    text = CONTROL.sub("\ufffd", mask_secrets(text[: 10 * most]))
    return text if len(text) <= most else text[:most] + "…"


def render_path(path: Sequence[str | int]) -> str:
    """`services.chat.args[2]`; keys that are not plain words stand in brackets."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif PLAIN_KEY.match(key):
            text += f".{shown(key)}" if text else shown(key)
        else:
            text += f"[{json.dumps(shown(key), ensure_ascii=False)}]"
    return text


class Source:
    """A text people wrote, by lines."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    @cached_property
    def lines(self) -> list[str]:
        return BREAK.split(self.text)

    def where(self, line: int, column: int, path: Sequence[str | int] = ()) -> Where:
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Where(self.file, line, column, shown(mask_line(text[: 10 * SHOWN_CHARACTERS], path)), render_path(path))


@dataclass(frozen=True, slots=True)
class Node:
    """`line` and `column` are those of the key, or of the item in a list; `path` is the key path in its own file.

    `written` is the scalar's text where the value lost something of it (`1.10`, `0x1f`). `over` is the node of a
    lower layer that this one replaced. `from_variable`: the text was one whole `${var.NAME}`. `is_broken`: a problem
    of this value was reported already, and what follows from it is not.
    """

    value: Scalar | dict[str, Node] | list[Node]
    source: Source
    line: int
    column: int
    path: KeyPath = ()
    layer: str = "spec"
    written: str | None = None
    over: Node | None = None
    from_variable: bool = False
    is_broken: bool = False

    @property
    def where(self) -> Where:
        return self.source.where(self.line, self.column, self.path)

    @property
    def map(self) -> dict[str, Node]:
        """Its entries; empty for anything but a map."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """Its items, with a bare value as the only one; empty for maps and null."""
        if isinstance(self.value, list):
            return self.value
        return [] if self.value is None or isinstance(self.value, dict) else [self]

    @property
    def is_null(self) -> bool:
        return self.value is None

    def at(self, *path: str | int) -> Node | None:
        """The node under a path, or None."""
        node: Node | None = self
        for key in path:
            if node is None:
                return None
            node = node._child(key)
        return node

    def _child(self, key: str | int) -> Node | None:
        if isinstance(self.value, dict) and isinstance(key, str):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]
        return None

    def text(self, key: str) -> str | None:
        """The text under a key; None where there is none or it is no text."""
        node = self.map.get(key)
        return node.value if node is not None and isinstance(node.value, str) else None

    def with_value(self, value: Scalar | dict[str, Node] | list[Node]) -> Node:
        """The same node around another value; written out because `replace` is slow and this is the hot path."""
        return Node(
            value,
            self.source,
            self.line,
            self.column,
            self.path,
            self.layer,
            self.written,
            self.over,
            self.from_variable,
            self.is_broken,
        )

    def every(self) -> Iterator[Node]:
        """Itself and everything under it, in the order of `walk`."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            if isinstance(node.value, dict):
                pending += reversed(node.value.values())
            elif isinstance(node.value, list):
                pending += reversed(node.value)

    def walk(self, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
        """Itself and everything under it, by path."""
        pending = [(path, self)]
        while pending:
            path, node = pending.pop()
            yield path, node
            inner: list[tuple[str | int, Node]] = []
            if isinstance(node.value, dict):
                inner = [*node.value.items()]
            elif isinstance(node.value, list):
                inner = [*enumerate(node.value)]
            pending += [((*path, key), child) for key, child in reversed(inner)]


def rebased(node: Node, path: KeyPath) -> Node:
    """The same node under another path of its file: what an alias stands for."""
    value = node.value
    if isinstance(value, dict):
        value = {key: rebased(child, (*path, key)) for key, child in value.items()}
    elif isinstance(value, list):
        value = [rebased(child, (*path, index)) for index, child in enumerate(value)]
    return Node(value, node.source, node.line, node.column, path, node.layer, node.written)


def relabelled(node: Node, layer: str) -> Node:
    """The same tree as part of another layer."""
    value = node.value
    if isinstance(value, dict):
        value = {key: relabelled(child, layer) for key, child in value.items()}
    elif isinstance(value, list):
        value = [relabelled(child, layer) for child in value]
    return Node(
        value,
        node.source,
        node.line,
        node.column,
        node.path,
        layer,
        node.written,
        node.over,
        node.from_variable,
        node.is_broken,
    )


def plain(node: Node) -> Any:
    """JSON data of a tree; entries that are null are left out, as null means `the default`."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items() if child.value is not None}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value
