"""Everything that was observed, as one JSON document."""

from __future__ import annotations

from typing import Any

from deployer.planning.projects import projects_on
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
    return [{"project": p.project, "id": p.id, "containers": p.containers} for p in projects_on(host)]


def _host(host: HostFacts | Unreachable) -> dict[str, Any]:
    if isinstance(host, Unreachable):
        return {"unreachable": diagnostic_json(host.reason)}
    facts: dict[str, Any] = to_data(host, defaults=True)
    return facts
