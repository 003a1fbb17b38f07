"""A resolved Ansible inventory as a tree of the language: hosts with their variables, and groups with their hosts."""

from __future__ import annotations

import posixpath
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, SpecError, warning
from deployer.spec.ansible.connection import connection_keys
from deployer.spec.ansible.groups import ALL, MOST_MEMBERSHIPS, AnsibleInventory, Group, InventoryHost, Variables
from deployer.spec.ansible.needed import Needed, obstacle, text_of
from deployer.spec.ansible.variables import VariableFiles
from deployer.spec.files import Files
from deployer.spec.masking import LIKE_A_SECRET
from deployer.spec.nodes import Node, shown

MOST_TAKEN = 200_000  # variables of all hosts
OWN_PREFIX = "ansible_"  # variables that mean something to Ansible itself


@dataclass(slots=True)
class Translation:
    """`wanted`: the variables that the spec uses; None where it may use any. `withheld`: for each host those of them
    that cannot be used, and why. `names`: every variable of any host."""

    inventory: AnsibleInventory
    files: Files
    wanted: Set[str] | None
    withheld: dict[str, dict[str, Diagnostic]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    _said: set[tuple[str, int, int, str]] = field(default_factory=set)
    _named: dict[str, Node] = field(default_factory=dict)  # names of hosts, where each is first written
    _taken: int = 0

    def tree(self) -> Node | None:
        """An inventory of the language; None where nothing was read. SpecError where there is too much of it."""
        self.inventory.settle()
        if not self.inventory.groups:
            return None
        root = self.inventory.groups[ALL].node
        groups = {group.name: self._members(group, names) for group, names in self._groups()}
        resolved = Resolved(self.inventory, self.files)
        hosts = {host.name: self._host(host, resolved.variables(host)) for host in self.inventory.hosts.values()}
        self.names |= resolved.names
        return root.with_value({"hosts": root.with_value({**hosts}), "groups": root.with_value({**groups})})

    def _host(self, host: InventoryHost, variables: Mapping[str, Node]) -> Node:
        keys = connection_keys(Needed(variables, self.inventory.problems, self._said))
        taken = self._taken_variables(host, variables)
        if taken:
            keys["vars"] = host.node.with_value({**taken})
        return host.node.with_value({**keys})

    def _taken_variables(self, host: InventoryHost, variables: Mapping[str, Node]) -> Variables:
        taken: Variables = {}
        for name in variables if self.wanted is None else [name for name in sorted(self.wanted) if name in variables]:
            node = variables[name]
            problem = obstacle(name, node)
            if problem is not None:
                self.withheld.setdefault(host.name, {})[name] = problem
            elif self.wanted is not None or not (name.startswith(OWN_PREFIX) or _is_secret(node)):
                taken[name] = node.with_value(text_of(node))
        self._taken += len(taken)
        if self._taken > MOST_TAKEN:
            message = f"the hosts have more than {MOST_TAKEN:,} variables together"
            raise SpecError(Diagnostic("too-many-values", message, host.node.where, hint="use fewer variables"))
        return taken

    def _groups(self) -> Iterator[tuple[Group, list[str]]]:
        """Every group with its hosts; one that is named like a host is that host."""
        members = 0
        for name, group in self.inventory.groups.items():
            if name in self.inventory.hosts:
                message = f"`{shown(name)}` is the name of a group and of a host, and stands for the host"
                self.files.problems.add(warning("name-taken", message, group.node.where, "rename the group"))
                continue
            names = self.inventory.members(group)
            members += len(names)
            if members > MOST_MEMBERSHIPS:
                message = f"groups hold more than {MOST_MEMBERSHIPS:,} hosts together"
                raise SpecError(Diagnostic("too-many-values", message, group.node.where, hint="use fewer groups"))
            yield group, names

    def _members(self, group: Group, names: Iterable[str]) -> Node:
        for name in names:
            if name not in self._named:
                self._named[name] = self.inventory.hosts[name].node.with_value(name)
        return group.node.with_value({"hosts": group.node.with_value([self._named[name] for name in names])})


@dataclass(slots=True)
class Resolved:
    """What Ansible would know of each host: `all` < groups from the outermost < host, and of each the inventory
    before the files beside it. `ansible-doc -t vars host_group_vars`."""

    inventory: AnsibleInventory
    files: Files
    names: set[str] = field(default_factory=set)  # of all variables of the hosts that were asked for
    _folders: list[VariableFiles] = field(default_factory=list)
    _by_groups: dict[tuple[str, ...], Variables] = field(default_factory=dict)
    _of_files: dict[str, Variables] = field(default_factory=dict)
    _direct: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folders = dict.fromkeys(posixpath.dirname(file) for file in reversed(self.inventory.files))
        self._folders = [VariableFiles(self.files, folder) for folder in reversed(folders)]
        self._direct = self.inventory.direct_groups()

    def variables(self, host: InventoryHost) -> Mapping[str, Node]:
        own = {**host.variables, **self._from_files("host_vars", host.name)}
        self.names.update(own)
        return ChainMap(own, self._from_groups(self._direct[host.name]))

    def _from_groups(self, names: tuple[str, ...]) -> Variables:
        found = self._by_groups.get(names)
        if found is None:
            everything = self.inventory.groups[ALL]
            groups = self.inventory.with_ancestors(names)
            found = dict(everything.variables)
            for group in groups:
                found.update(group.variables)
            found.update(self._of_group(ALL))
            for group in groups:
                found.update(self._of_group(group.name))
            self._by_groups[names] = found
            self.names.update(found)
        return found

    def _of_group(self, name: str) -> Variables:
        if name not in self._of_files:
            self._of_files[name] = self._from_files("group_vars", name)
        return self._of_files[name]

    def _from_files(self, kind: str, name: str) -> Variables:
        found: Variables = {}
        for folder in self._folders:
            found.update(folder.variables(kind, name))
        return found


def _is_secret(node: Node) -> bool:
    return isinstance(node.value, str) and LIKE_A_SECRET.search(node.value) is not None
