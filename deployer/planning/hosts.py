"""Which hosts a selector or a list means."""

from __future__ import annotations

from collections.abc import Mapping

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
