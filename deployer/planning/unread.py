"""Containers of others that Docker lists and cannot describe: what they hold is not known, and that is said."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.errors import Diagnostic, Severity
from deployer.planning.claims import is_holding
from deployer.values.facts import HostFacts

MOST_NAMED = 10


def unread_containers(facts: Mapping[str, HostFacts]) -> tuple[Diagnostic, ...]:
    """A warning for each host where such a container runs."""
    found = ((name, unread_on(host)) for name, host in sorted(facts.items()))
    return tuple(
        Diagnostic(
            "container-unread",
            f"host `{name}`: Docker cannot describe containers of others, so the GPUs they were given are not known",
            evidence=evidence,
            hint="remove or repair them, or leave their GPUs out with `gpus.exclude` of the host",
            severity=Severity.WARNING,
            host=name,
        )
        for name, evidence in found
        if evidence
    )


def unread_on(host: HostFacts) -> tuple[str, ...]:
    unread = [f"{c.name}: {c.unread}" for c in host.containers if c.unread and is_holding(c)]
    more = [f"... and {len(unread) - MOST_NAMED} more"] if len(unread) > MOST_NAMED else []
    return (*unread[:MOST_NAMED], *more)
