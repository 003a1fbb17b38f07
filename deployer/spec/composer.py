"""Parser events to nodes, without recursion and with limits on depth and on what aliases stand for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from typing import Any

import yaml

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, Problems, SpecError
from deployer.spec.nodes import KeyPath, Node, Source, rebased, shown
from deployer.spec.scalars import has_leading_zero, parse_scalar
from deployer.spec.syntax import syntax_problem

MAX_DEPTH = 40
UNUSABLE = re.compile("[\\x00\ud800-\udfff]")
MOST_PROBLEMS = 1000  # that are collected
MAX_NODES = 100_000  # counted with every alias spelled out

STARTS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
# libyaml where it is there: 25 times as fast as the same parser in Python
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class _Frame:
    """A map or list that is being read."""

    path: KeyPath
    line: int
    column: int
    anchor: str | None
    is_map: bool
    entries: dict[str, Node] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    merged: list[Node] = field(default_factory=list)  # the maps under `<<`
    key: Any = None  # the key's event, once read
    size: int = 1  # values in it, itself included
    height: int = 1  # levels of maps and lists

    @property
    def next_key(self) -> str | int:
        return str(self.key.value) if self.is_map else len(self.items)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A finished value, with what an alias of it would add."""

    node: Node
    size: int
    height: int


class Composer:
    """Turns parser events into nodes without recursion."""

    most_values = MAX_NODES

    def __init__(self, source: Source, problems: Problems) -> None:
        self.source = source
        self.problems = problems
        self.stack: list[_Frame] = []
        self.anchors: dict[str, _Measured | None] = {}  # None while the value is being read
        self.root: Node | None = None
        self.documents = 0
        self.nodes = 0

    def compose(self) -> Node:
        for event in _events(self.source):
            self._take(event)
        if self.root is None or self.root.is_null:
            message = f"`{self.source.file}` is empty"
            raise SpecError(
                Diagnostic("empty-file", message, self.source.where(1, 1), hint="start it with `version: 1`")
            )
        if not isinstance(self.root.value, dict):
            where = self.source.where(self.root.line, self.root.column)
            raise SpecError(
                Diagnostic("not-a-map", "the file is not a map of keys", where, hint="start it with `version: 1`")
            )
        return self.root

    def _take(self, event: Any) -> None:
        kind = type(event)
        if (kind is yaml.ScalarEvent or kind is yaml.AliasEvent) and self._expects_key:
            self._take_key(event)
        elif kind is yaml.ScalarEvent:
            self._place(_Measured(self._scalar(event), 1, 0), event.anchor)
        elif kind is yaml.AliasEvent:
            self._place(self._aliased(event), None)
        elif kind in STARTS:
            self._open(event)
        elif kind in ENDS:
            self._close()
        elif kind is yaml.DocumentStartEvent:
            self._start_document(event)

    # --- keys -------------------------------------------------------------------

    @property
    def _expects_key(self) -> bool:
        return bool(self.stack) and self.stack[-1].is_map and self.stack[-1].key is None

    def _take_key(self, event: Any) -> None:
        frame = self.stack[-1]
        if isinstance(event, yaml.AliasEvent):
            raise self._stop("key-not-text", "an alias stands as a key", event, "write the key itself")
        frame.key = event
        self._check_tag(event)
        self._check_characters(event)
        if event.implicit[0] and not isinstance(parse_scalar(event.value), str) and event.value != "":
            text = shown(event.value)
            self._report("key-not-text", f"the key `{text}` is not text", event, f'quote it: `"{text}"`')
        elif event.implicit[0] and event.value == "":
            self._report("key-not-text", "a key is missing before the `:`", event, "write the key")
        previous = frame.entries.get(event.value)
        if previous is not None:
            lines = f"in line {previous.line} and in line {event.start_mark.line + 1}"
            message = f"the key `{shown(event.value)}` stands twice, {lines}"
            self._report("duplicate-key", message, event, "keep one of them", (*frame.path, event.value))

    # --- values -----------------------------------------------------------------

    @property
    def _path(self) -> KeyPath:
        return (*self.stack[-1].path, self.stack[-1].next_key) if self.stack else ()

    def _position(self, event: Any) -> tuple[int, int]:
        """Of the key where there is one, else of the value."""
        mark = self.stack[-1].key.start_mark if self.stack and self.stack[-1].is_map else event.start_mark
        return mark.line + 1, mark.column + 1

    def _scalar(self, event: Any) -> Node:
        self._count(1, event)
        self._check_tag(event)
        self._check_characters(event)
        line, column = self._position(event)
        if not event.implicit[0]:
            return Node(event.value, self.source, line, column, self._path)
        text: str = event.value
        value = parse_scalar(text)
        if isinstance(value, int) and has_leading_zero(text):
            self._report(
                "leading-zero",
                f"`{text}` starts with a zero, which some read as octal and some do not",
                event,
                f'quote it, `"{text}"`, or write the number without the zero',
                self._path,
            )
        written = text if not isinstance(value, str | bool | None) and str(value) != text else None
        return Node(value, self.source, line, column, self._path, written=written)

    def _aliased(self, event: Any) -> _Measured:
        if event.anchor not in self.anchors:
            raise self._stop("unknown-alias", f"`*{event.anchor}` names no anchor above it", event, "name one with `&`")
        anchored = self.anchors[event.anchor]
        if anchored is None:
            raise self._stop("recursive-alias", f"`*{event.anchor}` stands inside its own value", event, "write it out")
        self._count(anchored.size, event)
        self._check_depth(len(self.stack) + anchored.height, event)
        return _Measured(rebased(anchored.node, self._path), anchored.size, anchored.height)

    def _open(self, event: Any) -> None:
        if self._expects_key:
            raise self._stop("key-not-text", "a map or list stands as a key", event, "keys are text; quote it")
        self._count(1, event)
        self._check_depth(len(self.stack) + 1, event)
        self._check_tag(event)
        if event.anchor:
            self.anchors[event.anchor] = None
        line, column = self._position(event)
        is_map = isinstance(event, yaml.MappingStartEvent)
        self.stack.append(_Frame(self._path, line, column, event.anchor, is_map))

    def _close(self) -> None:
        frame = self.stack.pop()
        for merged in frame.merged:
            for key, child in merged.map.items():
                if key not in frame.entries:
                    frame.entries[key] = rebased(child, (*frame.path, key))
        value = frame.entries if frame.is_map else frame.items
        node = Node(value, self.source, frame.line, frame.column, frame.path)
        self._place(_Measured(node, frame.size, frame.height), frame.anchor)

    def _place(self, anchored: _Measured, anchor: str | None) -> None:
        node = anchored.node
        if anchor:
            self.anchors[anchor] = anchored
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        frame.size += anchored.size
        frame.height = max(frame.height, anchored.height + 1)
        if not frame.is_map:
            frame.items.append(node)
            return
        key, frame.key = frame.key, None
        if key.value == "<<" and key.implicit[0]:
            self._merge(frame, node, key)
        elif key.value not in frame.entries:
            frame.entries[key.value] = node

    def _merge(self, frame: _Frame, node: Node, key: Any) -> None:
        maps = node.items if isinstance(node.value, list) else [node]
        if not all(isinstance(item.value, dict) for item in maps):
            self._report("bad-merge-key", "`<<` takes a map, or a list of maps", key, "name an anchor of a map")
            return
        frame.merged.extend(maps)

    # --- refusals ---------------------------------------------------------------

    def _start_document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise self._stop("several-documents", "a second document starts here", event, "one file, one document")
        if event.version and tuple(event.version) != (1, 2):
            version = ".".join(map(str, event.version))
            raise self._stop("yaml-version", f"the file asks for YAML {version}", event, "leave out the `%YAML` line")

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._report("yaml-tag", f"the tag `{shown}` is not allowed", event, "write the value without a tag")

    def _check_characters(self, event: Any) -> None:
        """Escapes can write what a text cannot hold, and what no program's arguments or environment can."""
        if UNUSABLE.search(event.value):
            message = "the value holds a NUL or half of a surrogate pair"
            self._report("control-character", message, event, "remove the escape")

    def _check_depth(self, depth: int, event: Any) -> None:
        if depth > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} levels deep"
            raise self._stop("nested-too-deeply", message, event, "flatten it")

    def _count(self, size: int, event: Any) -> None:
        self.nodes += size
        if self.nodes > self.most_values:
            message = f"more than {self.most_values:,} values, aliases spelled out"
            raise self._stop("too-many-values", message, event, "use fewer aliases")

    def _where(self, event: Any, path: KeyPath = ()) -> Any:
        return self.source.where(event.start_mark.line + 1, event.start_mark.column + 1, path)

    def _report(self, code: str, message: str, event: Any, hint: str, path: KeyPath = ()) -> None:
        path = path or (self.stack[-1].path if self.stack else ())
        if len(self.problems.found) < MOST_PROBLEMS:
            self.problems.add(Diagnostic(code, message, self._where(event, path), hint=hint))

    def _stop(self, code: str, message: str, event: Any, hint: str) -> SpecError:
        path = self.stack[-1].path if self.stack else ()
        return SpecError(Diagnostic(code, message, self._where(event, path), hint=hint))


def _events(source: Source) -> Iterator[Any]:
    """The parser's events; whatever it raises becomes one diagnostic."""
    try:
        yield from yaml.parse(source.text, Loader=LOADER)
    except yaml.YAMLError as error:
        raise SpecError(syntax_problem(source, error)) from None
    except (ValueError, OverflowError, AttributeError, IndexError):  # the pure parser's, on escapes such as \UFFFFFFFF
        where = source.where(1, 1)
        raise SpecError(Diagnostic("yaml-syntax", "the text is not YAML", where, hint="check its escapes")) from None
