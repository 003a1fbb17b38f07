"""Recorded facts, as `deployer facts` prints them, to data and back. Strict; trusts nothing but its own format."""

from __future__ import annotations

from typing import Any

from deployer.errors import Diagnostic, Severity, Where
from deployer.values.codec import from_data, to_data
from deployer.values.facts import HostFacts, ObservedState, Unreachable

FORMAT_VERSION = 1


def facts_to_data(observed: ObservedState) -> dict[str, Any]:
    """What `facts_from_data` reads back to an equal value."""
    hosts = {
        name: to_data(host) if isinstance(host, HostFacts) else {"unreachable": to_data(host.reason)}
        for name, host in sorted(observed.hosts.items())
    }
    return {"format_version": FORMAT_VERSION, "hosts": hosts}


def facts_from_data(data: object) -> ObservedState:
    """The hosts of a facts document. ValueError names the place and what is wrong there."""
    if not isinstance(data, dict) or not isinstance(hosts := data.get("hosts"), dict):
        raise ValueError("not a facts document: it has no `hosts`")
    if data.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"`format_version` is {str(data.get('format_version'))[:20]}, not {FORMAT_VERSION}")
    return ObservedState({name: _host(name, host) for name, host in hosts.items()})


def _host(name: str, data: Any) -> HostFacts | Unreachable:
    try:
        if isinstance(data, dict) and set(data) == {"unreachable"}:
            return Unreachable(name, _reason(name, data["unreachable"]))
        facts = from_data(HostFacts, data)
    except ValueError as error:
        raise ValueError(f"hosts.{name[:80]}: {error}") from None
    if facts.name != name:
        raise ValueError(f"hosts.{name[:80]}: these are the facts of `{facts.name[:80]}`")
    return facts


def _reason(name: str, data: Any) -> Diagnostic:
    """A diagnostic as views print it: all keys there, the line's text left out."""
    known: dict[str, Any] = from_data(dict[str, Any], data)
    where = known.get("where")
    return Diagnostic(
        code=from_data(str, known.get("code")),
        message=from_data(str, known.get("message")),
        where=None if where is None else from_data(Where, where),
        evidence=from_data(tuple[str, ...], known.get("evidence") or []),
        hint=from_data(str, known["hint"]) if known.get("hint") is not None else None,
        severity=from_data(Severity, known.get("severity", Severity.ERROR)),
        host=name,
    )
