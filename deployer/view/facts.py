"""Everything that was observed, as one JSON document."""

from __future__ import annotations

from collections import Counter
from typing import Any

from deployer.values.codec import to_data
from deployer.values.facts import HostFacts, ObservedState, Unreachable
from deployer.view.diagnostics import diagnostic_json
from deployer.view.json_text import FORMAT_VERSION


def facts_json(observed: ObservedState, version: str) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "deployer": version,
        "projects": {name: _projects(host) for name, host in observed.reachable.items()},
        "hosts": {name: _host(host) for name, host in sorted(observed.hosts.items())},
    }


def _projects(host: HostFacts) -> list[dict[str, Any]]:
    """Every project of which containers are there, whoever owns it."""
    labelled = [(c.labelled_project, c.labelled_id or None) for c in host.containers if c.labelled_project is not None]
    counts = sorted(Counter(labelled).items(), key=lambda item: (item[0][0], item[0][1] or ""))
    return [{"project": project, "id": id, "containers": count} for (project, id), count in counts]


def _host(host: HostFacts | Unreachable) -> dict[str, Any]:
    if isinstance(host, Unreachable):
        return {"unreachable": diagnostic_json(host.reason)}
    facts: dict[str, Any] = to_data(host, defaults=True)
    return facts
