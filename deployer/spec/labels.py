"""Hosts by label: which of them a label selector means, without looking at each. Knows names and labels only."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.spec.language import Host


class LabelIndex:
    """Hosts in name order, and those that have each label."""

    def __init__(self, hosts: Mapping[str, Host]) -> None:
        self.names = tuple(sorted(hosts))
        self._having: dict[tuple[str, str], list[str]] = {}
        for name in self.names:
            for label in hosts[name].labels.items():
                self._having.setdefault(label, []).append(name)

    def selected(self, selector: Mapping[str, str]) -> tuple[str, ...]:
        """Names of the hosts with all of these labels, in name order; no label means all hosts."""
        if not selector:
            return self.names
        first, *others = sorted((self._having.get(label, []) for label in selector.items()), key=len)
        rest = [frozenset(names) for names in others]
        return tuple(name for name in first if all(name in names for names in rest))
