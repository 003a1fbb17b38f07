"""Hosts and groups as the files of an inventory say them; what follows from nesting. Reads no text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, Problems, SpecError
from deployer.spec.ansible.ranges import MOST_HOSTS
from deployer.spec.nodes import Node, shown

ALL = "all"
UNGROUPED = "ungrouped"
MOST_LEVELS = 50
MOST_MEMBERSHIPS = 200_000  # of hosts in groups, parents of parents included

Variables = dict[str, Node]


@dataclass(slots=True)
class Group:
    """`node`: where it was first named. `hosts` and `children`: by name, where they were named here."""

    name: str
    node: Node
    hosts: dict[str, Node] = field(default_factory=dict)
    children: dict[str, Node] = field(default_factory=dict)
    variables: Variables = field(default_factory=dict)
    depth: int = 0  # the longest way down from `all`
    priority: int = 1


@dataclass(slots=True)
class InventoryHost:
    name: str
    node: Node
    variables: Variables = field(default_factory=dict)


@dataclass(slots=True)
class AnsibleInventory:
    """All files together, as Ansible merges several sources."""

    problems: Problems
    groups: dict[str, Group] = field(default_factory=dict)
    hosts: dict[str, InventoryHost] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    _mentions: int = 0
    _parents: dict[str, list[str]] = field(default_factory=dict)

    def group(self, name: str, node: Node) -> Group:
        """The group of that name, made where there is none yet."""
        return self.groups.setdefault(name, Group(name, node))

    def add_host(self, group: Group, name: str, node: Node, port: Node | None = None) -> InventoryHost:
        """A host as a member of a group. A port beside its name counts where it is named first."""
        host = self.hosts.get(name)
        if host is None:
            host = self.hosts[name] = InventoryHost(name, node)
            if port is not None:
                host.variables["ansible_port"] = port
        group.hosts.setdefault(name, node)
        self._mentions += 1
        if len(self.hosts) > MOST_HOSTS or self._mentions > MOST_MEMBERSHIPS:
            message = f"the inventory has more than {MOST_HOSTS:,} hosts"
            raise SpecError(Diagnostic("too-many-values", message, node.where, hint="split it"))
        return host

    def settle(self) -> None:
        """Every group under `all`, every host in one: what must be done once all files are read."""
        root = self._root_node()
        if root is None:
            return
        everything, ungrouped = self.group(ALL, root), self.group(UNGROUPED, root)
        everything.children.setdefault(UNGROUPED, ungrouped.node)
        self._take_priorities()
        self._break_cycles()
        nested = {child for group in self.groups.values() for child in group.children}
        for group in self.groups.values():
            if group is not everything and group.name not in nested:
                everything.children[group.name] = group.node
        grouped = {n for g in self.groups.values() if g.name not in (ALL, UNGROUPED) for n in g.hosts}
        ungrouped.hosts = {name: host.node for name, host in self.hosts.items() if name not in grouped}
        self._measure_depths()

    def _root_node(self) -> Node | None:
        nodes = [group.node for group in self.groups.values()] + [host.node for host in self.hosts.values()]
        return nodes[0] if nodes else None

    def _take_priorities(self) -> None:
        for group in self.groups.values():
            node = group.variables.pop("ansible_group_priority", None)
            text = str(node.value) if node is not None else "1"
            if re.fullmatch(r"-?[0-9]{1,9}", text):
                group.priority = int(text)
            elif node is not None:
                message = f"`{shown(text)}` is no priority of a group"
                self.problems.add(Diagnostic("bad-value", message, node.where, hint="write a whole number"))

    def _break_cycles(self) -> None:
        """Refuses every child that is its own ancestor, as `all` is of whatever holds it, and goes on without it."""
        for group in list(self.groups.values()):
            if ALL in group.children:
                self._refuse_cycle(group.name, ALL)
        done: set[str] = set()
        for start in list(self.groups):
            trail: dict[str, Iterator[str]] = {} if start in done else {start: iter(list(self.groups[start].children))}
            while trail:
                name = next(reversed(trail))
                child = next(trail[name], None)
                if child is None:
                    done.add(name)
                    trail.pop(name)
                elif child in trail:
                    self._refuse_cycle(name, child)
                elif child not in done and child in self.groups:
                    trail[child] = iter(list(self.groups[child].children))

    def _refuse_cycle(self, parent: str, child: str) -> None:
        node = self.groups[parent].children.pop(child)
        message = f"the group `{shown(child)}` is inside itself"
        hint = f"take `{shown(child)}` out of the children of `{shown(parent)}`"
        self.problems.add(Diagnostic("circular-group", message, node.where, hint=hint))

    def _measure_depths(self) -> None:
        """Longest ways from `all`, in topological order."""
        waiting = dict.fromkeys(self.groups, 0)
        for group in self.groups.values():
            for child in group.children:
                waiting[child] += 1
                self._parents.setdefault(child, []).append(group.name)
        ready = [name for name, parents in waiting.items() if parents == 0]
        while ready:
            group = self.groups[ready.pop()]
            if group.depth > MOST_LEVELS:
                message = f"groups are nested more than {MOST_LEVELS} levels deep"
                raise SpecError(Diagnostic("nested-too-deeply", message, group.node.where, hint="flatten them"))
            for name in group.children:
                below = self.groups[name]
                below.depth = max(below.depth, group.depth + 1)
                waiting[name] -= 1
                if waiting[name] == 0:
                    ready.append(name)

    def direct_groups(self) -> dict[str, tuple[str, ...]]:
        """The groups that name a host themselves, by host."""
        found: dict[str, list[str]] = {name: [] for name in self.hosts}
        for group in self.groups.values():
            for name in group.hosts:
                found[name].append(group.name)
        return {name: tuple(groups) for name, groups in found.items()}

    def with_ancestors(self, names: tuple[str, ...]) -> list[Group]:
        """These groups and all above them but `all`, those whose variables win last."""
        seen: set[str] = set()
        unseen = list(names)
        while unseen:
            name = unseen.pop()
            if name not in seen:
                seen.add(name)
                unseen.extend(self._parents.get(name, ()))
        found = [self.groups[name] for name in seen if name != ALL]
        return sorted(found, key=lambda group: (group.depth, group.priority, group.name))

    def members(self, group: Group) -> list[str]:
        """The hosts of a group and of all below it, in the order in which Ansible lists them."""
        found = dict.fromkeys(group.hosts)
        seen = {group.name}
        level = [group]
        while level:
            names = [name for above in level for name in above.children if name not in seen]
            level = [self.groups[name] for name in dict.fromkeys(names)]
            seen.update(names)
            for below in level:
                found.update(dict.fromkeys(below.hosts))
        return list(found)
