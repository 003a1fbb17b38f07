"""Hosts: inventories and inline hosts become one set, with their groups' defaults under each of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from deployer.spec.merge import merge, settle
from deployer.spec.nodes import Node, relabelled
from deployer.spec.shape import HOST, SPEC

HOSTS = SPEC.of("hosts")
GROUPS = SPEC.of("groups")


def with_inventories(root: Node, inventories: Sequence[Node]) -> Node:
    """The spec with the hosts and groups of its inventories: group defaults < inventories in order < inline."""
    layers = [*(relabelled(inventory, "inventory") for inventory in inventories), root]
    groups = _merged_sections(layers, "groups")
    hosts = _merged_sections(layers, "hosts")
    entries = dict(root.map)
    if groups is not None:
        entries["groups"] = settle(groups, GROUPS)
    if hosts is not None and isinstance(hosts.value, dict):
        under = _group_defaults(groups)
        merged = {name: reduce(_on_top, [*under.get(name, []), host]) for name, host in hosts.value.items()}
        entries["hosts"] = settle(hosts.with_value(merged), HOSTS)
    return root.with_value(entries)


def _merged_sections(layers: Sequence[Node], key: str) -> Node | None:
    sections = [layer.map[key] for layer in layers if key in layer.map and not layer.map[key].is_null]
    return reduce(lambda under, over: merge(under, over, SPEC.of(key)), sections) if sections else None


def _group_defaults(groups: Node | None) -> dict[str, list[Node]]:
    """The defaults that stand under each host, in the order of the groups."""
    found: dict[str, list[Node]] = {}
    for name, group in groups.map.items() if groups is not None else ():
        defaults, members = group.map.get("defaults"), group.map.get("hosts")
        if defaults is None or members is None or not isinstance(defaults.value, dict):
            continue
        layer = relabelled(defaults, f"group {name}")
        for member in members.items:
            if isinstance(member.value, str):
                found.setdefault(member.value, []).append(layer)
    return found


def _on_top(under: Node, over: Node) -> Node:
    return merge(under, over, HOST)
