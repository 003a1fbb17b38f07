"""Inventory files: which are read, and what is not one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deployer.errors import Diagnostic
from deployer.spec.conform import conform
from deployer.spec.document import parse_document
from deployer.spec.files import Files
from deployer.spec.language import Inventory
from deployer.spec.nodes import Node, Source
from deployer.spec.shape import INVENTORY
from deployer.spec.substitution import Substitution
from deployer.spec.validate import validate

INI_LINE = re.compile(r"\[[\w.:-]+\]\s*\Z|\S+\s+ansible_\w+=")
ANSIBLE_KEYS = frozenset({"all", "ungrouped", "plugin"})
HINT = "write it as `hosts: {NAME: {address: ...}}`; Ansible inventories are not read yet"


@dataclass(slots=True)
class Inventories:
    """Reads inventories in the order in which later ones win. `failed`: at least one could not be read."""

    files: Files
    substitution: Substitution
    failed: bool = False

    def load(self, named: Iterable[Node], given: Sequence[str]) -> list[Node]:
        """Those that the spec names, then those of the command line."""
        found = [self._parse(self.files.content(n, "the inventory"), self._path(n), n) for n in named]
        found += [self._parse(self.files.given(path, "the inventory"), path, None) for path in given]
        self.failed = self.failed or None in found
        return [node for node in found if node is not None]

    def _path(self, node: Node) -> str:
        return self.files.resolved(str(node.value), node.source.file)

    def _parse(self, data: bytes | None, path: str, named: Node | None) -> Node | None:
        if data is None:
            return None
        problems = self.files.problems
        foreign = _foreign(data, path)
        if foreign is not None:
            problems.add(foreign)
            return None
        document = parse_document(data, path, problems)
        if document is None:
            return None
        if ANSIBLE_KEYS & document.map.keys() and "hosts" not in document.map:
            where = document.map[min(ANSIBLE_KEYS & document.map.keys())].where
            problems.add(Diagnostic("foreign-inventory", f"`{path}` looks like Ansible's", where, hint=HINT))
            return None
        inventory = self.substitution.apply(conform(document, INVENTORY))
        validate(Inventory, inventory, problems, partial=True)
        return inventory


def _foreign(data: bytes, path: str) -> Diagnostic | None:
    """Says so where the first line that is no comment is one of an INI inventory."""
    text = data[:65536].decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and line.lstrip()[0] not in "#;":
            if not INI_LINE.match(line):
                return None
            where = Source(path, text).where(number, 1)
            return Diagnostic("foreign-inventory", f"`{path}` is an INI inventory of Ansible's", where, hint=HINT)
    return None
