"""The hosts' own record of where a project runs: STATE_DIR/PROJECT/hosts.

What it says is read to warn of forgotten hosts, to keep what was protected, and for `status`. A host that cannot write
it is a warning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployer.engine.lock import Holder
from deployer.engine.parting import Parting, part
from deployer.engine.redaction import clean
from deployer.errors import Diagnostic, HostError, Severity
from deployer.formats.text import one_line
from deployer.values.codec import parse_json
from deployer.values.names import NAME, STATE_DIR
from deployer.values.records import Hold, ProjectRecord

if TYPE_CHECKING:
    from deployer.engine.context import Transports
    from deployer.transport.base import Completed, Transport

FORMAT = 1
MAX_RECORD = 256 << 10  # bytes; some 5000 hosts
MAX_HOSTS, MAX_NAMES = 10_000, 1000
HOLD_TEXTS = ("service", "inputs", "who", "since", "why", "apply")
RUN_TIMEOUT = 20.0
OURS = """
{ true <"$1/lock.changes"; } 2>/dev/null && exec 8<"$1/lock.changes" && flock -s -w 10 8 && [ ! -L "$1/lock" ] &&
    head -c 4096 -- "$1/lock" 2>/dev/null | grep -qF "\\"apply\\":\\"$2\\"" || { echo "the lock was lost" >&2; exit 1; }
"""
WRITE = """
umask 022
new=$1/hosts.new.$$
[ ! -d "$1/hosts" ] && mkdir -p -- "$1" && cat >"$new" && [ "$(wc -c <"$new")" -eq "$3" ] &&
    mv -f -- "$new" "$1/hosts" && exit 0
rm -f -- "$new"
exit 1
"""
REMOVE = 'rm -f -- "$1/hosts"'


def write_records(
    transports: Transports, holder: Holder, wanted: Mapping[str, ProjectRecord | None], state_dir: str = STATE_DIR
) -> tuple[Diagnostic, ...]:
    """Makes each host's record the wanted one (None: there is none), while the lock there is the holder's; a warning
    for each host that did not take it."""
    return part(transports, {host: [record_parting(holder, one, state_dir)] for host, one in wanted.items()})


def record_parting(holder: Holder, record: ProjectRecord | None, state_dir: str = STATE_DIR) -> Parting:
    directory = f"{state_dir}/{holder.project}"

    def check(transport: Transport, done: Completed) -> None:
        if done.exit_code != 0:
            words = clean(done.stderr[-500:].decode("utf-8", "replace"))
            raise HostError(Diagnostic("record-failed", words or f"exit code {done.exit_code}", host=transport.name))

    def warning(host: str, why: Diagnostic) -> Diagnostic:
        return Diagnostic(
            "record-failed",
            f"host `{host}`: the record of the project's hosts could not be written",
            evidence=(why.message,),
            hint=why.hint or f"see that `{directory}` can be written",
            severity=Severity.WARNING,
            host=host,
        )

    script, text = (REMOVE, b"") if record is None else (WRITE, render_record(record))
    argv = ["sh", "-c", OURS + script, "deployer-record", directory, holder.apply, str(len(text))]
    return Parting(argv, check, warning, RUN_TIMEOUT, text)


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
