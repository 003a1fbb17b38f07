"""Inventory files: deployer's own and Ansible's, in the order in which later ones win."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.spec.conform import conform
from deployer.spec.document import parse_document
from deployer.spec.files import Files
from deployer.spec.language import Inventory
from deployer.spec.nodes import Node
from deployer.spec.shape import INVENTORY
from deployer.spec.substitution import HOST_VARIABLE, Substitution, names_in
from deployer.spec.validate import validate

if TYPE_CHECKING:
    from deployer.spec.ansible.reading import AnsibleFiles


@dataclass(frozen=True, slots=True)
class Withheld:
    """What an inventory says of hosts and a spec cannot have: for each host its variables that are no plain text, with
    the reason; and the names of all variables of all hosts."""

    reasons: dict[str, dict[str, Diagnostic]] = field(default_factory=dict)
    names: frozenset[str] = frozenset()


@dataclass(slots=True)
class Inventories:
    """Reads inventories in the order in which later ones win; those of Ansible's count as one, at the last's place.
    `failed`: at least one could not be read."""

    files: Files
    substitution: Substitution
    failed: bool = False
    withheld: Withheld = field(default_factory=Withheld)

    def load(self, root: Node, given: Sequence[str]) -> list[Node]:
        """Those that the spec names, then those of the command line."""
        found = [*self._named(root), *((self.files.given(p, "the inventory"), p) for p in given)]
        if not found:
            return []
        from deployer.spec.ansible.reading import AnsibleFiles

        ansible = AnsibleFiles(self.files)
        trees: list[Node | None] = []
        place = None
        for data, path in found:
            taken = ansible.take(data, path) if data is not None else False
            self.failed |= taken is False
            if taken:
                place = len(trees)
            trees.append(self._own(data, path) if taken is None and data is not None else None)
        if place is not None:
            trees[place] = self._of_ansible(ansible, root)
        return [tree for tree in trees if tree is not None]

    def _named(self, root: Node) -> Iterable[tuple[bytes | None, str]]:
        named = root.map.get("inventory")
        for node in named.items if named is not None else ():
            if isinstance(node.value, str):
                path = self.files.resolved(node.value, node.source.file)
                yield self.files.content(node, "the inventory"), path

    def _own(self, data: bytes, path: str) -> Node | None:
        problems = self.files.problems
        document = parse_document(data, path, problems)
        if document is None:
            self.failed = True
            return None
        inventory = self.substitution.apply(conform(document, INVENTORY))
        validate(Inventory, inventory, problems, partial=True)
        return inventory

    def _of_ansible(self, ansible: AnsibleFiles, root: Node) -> Node | None:
        tree = ansible.tree(variables_of(root))
        self.failed |= tree is None
        if ansible.translation is not None:
            self.withheld = Withheld(ansible.translation.withheld, frozenset(ansible.translation.names))
        return tree


def variables_of(root: Node) -> frozenset[str] | None:
    """The variables of hosts that a spec uses; None where a template of its own may use any."""
    backends = root.map.get("backends")
    if backends is not None and any("template" in backend.map for backend in backends.map.values()):
        return None
    found: set[str] = set()
    for node in root.every():
        if isinstance(node.value, str) and "${" + HOST_VARIABLE in node.value:
            found.update(name.removeprefix(HOST_VARIABLE) for name in names_in(node.value))
    return frozenset(found)
