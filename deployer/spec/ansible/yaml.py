"""YAML and JSON inventories of Ansible's, and its files of variables: more is allowed than in a spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from deployer.errors import Diagnostic, Problems, SpecError, warning
from deployer.spec.ansible.groups import AnsibleInventory, Group
from deployer.spec.ansible.ranges import expand
from deployer.spec.ansible.source import AnsibleSource
from deployer.spec.composer import Composer
from deployer.spec.document import decoded
from deployer.spec.nodes import Node, shown

MAX_BYTES = 4_000_000  # what `ansible-inventory` writes for a thousand hosts
STANDARD_TAG = "tag:yaml.org,2002:"
ANSIBLE_TAGS = frozenset({"!vault", "!vault-encrypted", "!unsafe"})
TOLERATED = frozenset({"leading-zero", "key-not-text"})
META = "_meta"


class _Composer(Composer):
    """Takes what Ansible takes: its tags, numbers as keys, leading zeros, and of a doubled key the last value."""

    most_values = 1_000_000

    def _take_key(self, event: Any) -> None:
        entries = self.stack[-1].entries
        if isinstance(event, yaml.ScalarEvent) and entries.pop(event.value, None) is not None:
            message = f"the key `{shown(event.value)}` stands twice, and the last one counts, as for Ansible"
            self.problems.add(warning("duplicate-key", message, self._where(event), "keep one of them"))
        super()._take_key(event)

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag not in ANSIBLE_TAGS and not event.tag.startswith(STANDARD_TAG):
            super()._check_tag(event)

    def _report(self, code: str, message: str, event: Any, hint: str, path: Any = ()) -> None:
        if code not in TOLERATED:
            super()._report(code, message, event, hint, path)


def parse_yaml(data: bytes, file: str, problems: Problems) -> Node | None:
    """The map of a file, empty where the file is; None, with the reason in `problems`, where it is none."""
    try:
        source = AnsibleSource(file, decoded(data, file, MAX_BYTES))
        return _Composer(source, problems).compose()
    except SpecError as error:
        found = error.diagnostics[0]
        if found.code == "empty-file":
            return Node({}, source, 1, 1)
        if found.code == "not-a-map":
            found = Diagnostic(found.code, "the file is not a map", found.where, hint="write `NAME: VALUE`")
        problems.add(found)
        return None


def read_yaml(document: Node, inventory: AnsibleInventory) -> None:
    """Adds the groups of a document to the inventory; what is wrong goes to its problems."""
    reader = _Reader(inventory)
    for name, node in document.map.items():
        if name != META:
            reader.read_group(name, node)
    hostvars = document.at(META, "hostvars")
    for name, variables in hostvars.map.items() if hostvars is not None else ():
        if name in inventory.hosts:
            inventory.hosts[name].variables.update(variables.map)


class _Reader:
    def __init__(self, inventory: AnsibleInventory) -> None:
        self.inventory = inventory

    def read_group(self, name: str, node: Node) -> None:
        """A group with everything under it; the composer bounds how deep that is. A bare list is one of hosts."""
        group = self.inventory.group(name, node)
        if isinstance(node.value, list):
            self._read_hosts(group, node)
            return
        if not isinstance(node.value, dict | None):
            self._refuse(f"`{shown(name)}` is no group", node, "write a map with `hosts`, `children` or `vars`")
            return
        for key, part in node.map.items():
            match key:
                case "hosts":
                    self._read_hosts(group, part)
                case "children":
                    for child, below in self._named(part, "children"):
                        group.children.setdefault(child, below)
                        self.read_group(child, below if isinstance(part.value, dict) else below.with_value(None))
                case "vars":
                    group.variables.update(self._variables(part))
                case _:
                    message = f"`{shown(key)}` in the group `{shown(name)}` is not read, as by Ansible"
                    hint = "a group has `hosts`, `children` and `vars`"
                    self.inventory.problems.add(warning("unread-key", message, part.where, hint))

    def _read_hosts(self, group: Group, part: Node) -> None:
        for pattern, node in self._named(part, "hosts"):
            try:
                names, port = expand(pattern)
            except ValueError as error:
                self._refuse(f"`{shown(pattern)}`: {error}", node, "correct the range")
                continue
            variables = self._variables(node) if isinstance(part.value, dict) else {}
            for name in names:
                host = self.inventory.add_host(group, name, node, node.with_value(port) if port else None)
                host.variables.update(variables)

    def _named(self, part: Node, key: str) -> Iterator[tuple[str, Node]]:
        """Names with what stands under them: of a map, of a list as JSON has it, or a single one."""
        if isinstance(part.value, dict):
            yield from part.value.items()
            return
        for item in part.items:
            if isinstance(item.value, str) and item.value:
                yield item.value, item
            else:
                self._refuse(f"`{key}` holds what is no name", item, "write names as the keys of a map")

    def _variables(self, node: Node) -> dict[str, Node]:
        if isinstance(node.value, dict):
            return node.value
        if not node.is_null:
            self._refuse("variables stand here as something else than a map", node, "write `NAME: VALUE`")
        return {}

    def _refuse(self, message: str, node: Node, hint: str) -> None:
        self.inventory.problems.add(Diagnostic("bad-inventory", message, node.where, hint=hint))
