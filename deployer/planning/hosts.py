"""Which hosts a selector or a list means."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.spec.labels import LabelIndex
from deployer.spec.language import DeploySpec

Selector = Mapping[str, str] | tuple[str, ...] | None


def hosts_named(spec: DeploySpec, selector: Selector) -> tuple[str, ...]:
    """Names of the hosts meant, in name order; no selector means all of them."""
    if selector is None:
        return tuple(sorted(spec.hosts))
    if isinstance(selector, Mapping):
        return tuple(
            name
            for name, host in sorted(spec.hosts.items())
            if all(host.labels.get(label) == value for label, value in selector.items())
        )
    meant: set[str] = set()
    for name in selector:
        group = spec.groups.get(name)
        meant.update(group.hosts if group is not None and name not in spec.hosts else (name,))
    return tuple(sorted(meant & set(spec.hosts)))


def selector_key(selector: Selector) -> object:
    """Equal for selectors that mean the same hosts by the same words; can be a key of a dict."""
    return frozenset(selector.items()) if isinstance(selector, Mapping) else selector


class HostIndex:
    """The same for many selectors: each is looked up once."""

    def __init__(self, spec: DeploySpec) -> None:
        self._spec, self._labels = spec, LabelIndex(spec.hosts)
        self._found: dict[object, tuple[tuple[str, ...], frozenset[str]]] = {}

    def named(self, selector: Selector) -> tuple[str, ...]:
        """In name order."""
        return self._both(selector)[0]

    def members(self, selector: Selector) -> frozenset[str]:
        return self._both(selector)[1]

    def _both(self, selector: Selector) -> tuple[tuple[str, ...], frozenset[str]]:
        key = selector_key(selector)
        if key not in self._found:
            names = self._look_up(selector)
            self._found[key] = names, frozenset(names)
        return self._found[key]

    def _look_up(self, selector: Selector) -> tuple[str, ...]:
        return self._labels.selected(selector) if isinstance(selector, Mapping) else hosts_named(self._spec, selector)
