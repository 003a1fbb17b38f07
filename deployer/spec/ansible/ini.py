"""INI inventories of Ansible's: sections, inline variables and their quoting. Resolves nothing."""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, Problems
from deployer.spec.ansible.groups import ALL, UNGROUPED, AnsibleInventory, Group, Variables
from deployer.spec.ansible.ranges import expand
from deployer.spec.nodes import Node, Source, shown

SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?\Z")
NAME = re.compile(r"([^:\]\s]+)\s*(?:#.*)?\Z")
NEEDS_SHLEX = re.compile(r"""["'\\#]""")
LONGEST_LITERAL = 10_000  # characters of a value that is read as Python's, as Ansible does


def read_ini(source: Source, inventory: AnsibleInventory) -> None:
    """Adds what the text says to the inventory; what is wrong goes to its problems, line by line."""
    _Reader(source, inventory).read()


@dataclass(slots=True)
class _Reader:
    source: Source
    inventory: AnsibleInventory
    line: int = 0
    declared: set[str] = field(default_factory=set)
    needed: list[tuple[str, Node, str]] = field(default_factory=list)  # groups that must be declared somewhere

    @property
    def problems(self) -> Problems:
        return self.inventory.problems

    def read(self) -> None:
        known = {ALL, UNGROUPED, *self.inventory.groups}
        section, kind = UNGROUPED, "hosts"
        for number, text in enumerate(self.source.lines, start=1):
            self.line = number
            stripped = text.strip()
            if not stripped or stripped[0] in ";#":
                continue
            header = SECTION.match(stripped)
            if header is not None:
                section, kind = header[1], header[2] or "hosts"
                self._open(section, kind)
            elif stripped[0] == "[" and stripped[-1] == "]":
                self._refuse(
                    f"`{shown(stripped)}` is no section", "write `[group]`, `[group:children]` or `[group:vars]`"
                )
            else:
                self._take(stripped, section, kind)
        for name, node, message in self.needed:
            if name not in self.declared | known:
                hint = f"add a section `[{shown(name)}]`"
                self.problems.add(Diagnostic("unknown-group", message, node.where, hint=hint))

    def _open(self, section: str, kind: str) -> None:
        if kind not in ("hosts", "children", "vars"):
            self._refuse(f"a section cannot be of the kind `{shown(kind)}`", "use `:children`, `:vars`, or no kind")
            return
        node = self._node(section, section)
        self.inventory.group(section, node)
        if kind == "vars":
            self.needed.append((section, node, f"variables of the group `{shown(section)}`, which has no section"))
        else:
            self.declared.add(section)

    def _take(self, text: str, section: str, kind: str) -> None:
        group = self.inventory.group(section, self._node(section, section))
        if kind == "hosts":
            self._take_hosts(text, group)
        elif kind == "vars":
            self._take_variable(text, group)
        elif kind == "children":
            match = NAME.match(text)
            if match is None:
                self._refuse(f"`{shown(text)}` is no name of a group", "write one name on a line")
                return
            child = self._node(match[1], match[1])
            group.children.setdefault(match[1], child)
            self.inventory.group(match[1], child)
            self.needed.append((match[1], child, f"the group `{shown(match[1])}` has no section"))

    def _take_variable(self, text: str, group: Group) -> None:
        name, separator, value = text.partition("=")
        if not separator:
            self._refuse(f"`{shown(text)}` is no `NAME=VALUE`", "write `NAME=VALUE`")
            return
        group.variables[name.strip()] = self._value(value.strip(), name.strip(), (group.name, name.strip()))

    def _take_hosts(self, text: str, group: Group) -> None:
        try:
            words = shlex.split(text, comments=True) if NEEDS_SHLEX.search(text) else text.split()
        except ValueError as error:
            self._refuse(f"the line cannot be split into words: {error}".lower(), "close the quote")
            return
        if not words:
            return
        try:
            names, port = expand(words[0])
        except ValueError as error:
            self._refuse(f"`{shown(words[0])}`: {error}", "correct the range")
            return
        node = self._node(words[0], words[0])
        variables = self._inline(words[1:], words[0])
        for name in names:
            host = self.inventory.add_host(group, name, node, self._node(port, words[0]) if port else None)
            host.variables.update(variables)

    def _inline(self, words: list[str], pattern: str) -> Variables:
        found: Variables = {}
        for word in words:
            name, separator, value = word.partition("=")
            if not separator:
                self._refuse(f"`{shown(word)}` is no `NAME=VALUE`", "write `NAME=VALUE`, and quote values with spaces")
                break
            found[name] = self._value(value, f"{name}=", (pattern, name))
        return found

    def _value(self, text: str, written: str, path: tuple[str, ...]) -> Node:
        """The value of a variable. Lists and maps are kept as such: nothing here needs what is in them."""
        node = self._node(text, written, path)
        if text == "None":
            return node.with_value(None)
        if text[:1] in "'\"[({" and 0 < len(text) <= LONGEST_LITERAL:
            value = _literal(text)
            return node.with_value(value if isinstance(value, str) else [])
        return node

    def _node(self, value: str, written: str, path: tuple[str, ...] = ()) -> Node:
        line = self.source.lines[self.line - 1] if self.line else ""
        column = max(line.find(written), len(line) - len(line.lstrip())) + 1
        return Node(value, self.source, max(self.line, 1), column, path or ((value,) if value else ()))

    def _refuse(self, message: str, hint: str) -> None:
        node = self._node("", "")
        self.problems.add(Diagnostic("bad-inventory-line", message, node.where, hint=hint))


def _literal(text: str) -> object:
    """A quoted text without its quotes; the text itself where it is no literal of Python's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
