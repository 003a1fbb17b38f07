"""The text of the hosts' own record of where a project runs: STATE_DIR/PROJECT/hosts.

What it says is read to warn of forgotten hosts, to keep what was protected, and for `status`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from deployer.formats.text import one_line
from deployer.values.codec import parse_json
from deployer.values.names import NAME
from deployer.values.records import Hold, ProjectRecord

FORMAT = 1
MAX_RECORD = 256 << 10  # bytes; some 5000 hosts
MAX_HOSTS, MAX_NAMES = 10_000, 1000
HOLD_TEXTS = ("service", "inputs", "who", "since", "why", "apply")


def render_record(record: ProjectRecord) -> bytes:
    data = {
        "format": FORMAT,
        "project": record.project,
        "id": record.id,
        "apply": record.apply,
        "hosts": dict(sorted(record.hosts.items())),
        "protected": list(record.protected),
        "completing": list(record.completing),
        "services": {host: list(names) for host, names in sorted(record.services.items())},
        "holds": [_hold_data(hold) for hold in record.holds],
        "gone": dict(sorted(record.gone.items())),
        "inputs": dict(sorted(record.inputs.items())),
    }
    return (json.dumps(data, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _hold_data(hold: Hold) -> dict[str, object]:
    texts = {name: getattr(hold, name) for name in HOLD_TEXTS}
    return {**texts, "back_to": dict(sorted(hold.back_to.items()))}


def parse_record(text: bytes) -> ProjectRecord | None:
    """What `render_record` wrote, or whoever did; None where it is not that."""
    try:
        data = parse_json(text.strip(), MAX_RECORD)
    except ValueError:
        return None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return None
    project, hosts = data.get("project"), data.get("hosts")
    if not isinstance(project, str) or NAME.match(project) is None or not isinstance(hosts, dict):
        return None
    named = list(hosts.items())[:MAX_HOSTS]
    known = {one_line(name): one_line(address) for name, address in named if isinstance(address, str)}
    protected, completing = _texts(data, "protected"), _texts(data, "completing")
    ran = data.get("services")
    services = {one_line(host): _texts(ran, host) for host in list(ran)[:MAX_HOSTS]} if isinstance(ran, dict) else {}
    holds, gone, inputs = _holds(data.get("holds")), _named(data.get("gone")), _named(data.get("inputs"))
    return ProjectRecord(
        project, _text(data, "id"), _text(data, "apply"), known, protected, completing, services, holds, gone, inputs
    )


def _holds(said: object) -> tuple[Hold, ...]:
    entries = [entry for entry in said[:MAX_NAMES] if isinstance(entry, dict)] if isinstance(said, list) else []
    return tuple(_hold(entry) for entry in entries if NAME.match(_text(entry, "service")))


def _hold(entry: Mapping[str, object]) -> Hold:
    return Hold(**{name: _text(entry, name) for name in HOLD_TEXTS}, back_to=_named(entry.get("back_to")))


def _named(said: object) -> dict[str, str]:
    named = list(said.items())[:MAX_NAMES] if isinstance(said, dict) else []
    return {one_line(key): one_line(name) for key, name in named if isinstance(name, str)}


def _texts(data: Mapping[str, object], key: str) -> tuple[str, ...]:
    values = data.get(key)
    return tuple(one_line(v) for v in values[:MAX_NAMES] if isinstance(v, str)) if isinstance(values, list) else ()


def _text(data: Mapping[str, object], key: str) -> str:
    value = data.get(key)
    return one_line(value) if isinstance(value, str) else ""
