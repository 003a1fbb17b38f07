"""The host's own note of which containers answered, and how long each took: STATE_DIR/PROJECT/answered.

It tells a former revision that worked from one that never did, how long a start takes on this host, and which edit was
the last to be applied, also where its container is lost before the apply is over. A host that cannot write it is no
failure: then nothing is known of the container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.engine.redaction import clean
from deployer.errors import HostError
from deployer.formats.text import decoded
from deployer.pattern import pattern
from deployer.values.events import Note
from deployer.values.facts import ObservedContainer
from deployer.values.names import NAME
from deployer.values.records import Proven

if TYPE_CHECKING:
    from deployer.engine.context import Site

LINE = pattern(r"([0-9a-f]{64})(?: (\d{1,7}(?:\.\d{1,3})?))?\Z")
PROVEN = pattern(r"([a-z0-9][a-z0-9-]{0,200}-\d{1,6}) ([0-9a-f]{64}|-) ([0-9A-Za-z]{1,64})\Z")
INPUTS = pattern(r"[0-9a-f]{64}\Z")
MOST_READ = 128 << 10  # bytes from the end: some 700 answers
RUN_TIMEOUT = 20.0
SCRIPT = """
umask 022
file=$1/answered
mkdir -p -- "$1" && printf '%s\\n' "$2" >>"$file" || exit 1
[ "$(wc -l <"$file")" -lt 1400 ] || { tail -n 700 -- "$file" >"$file.new" && mv -f -- "$file.new" "$file"; }
"""


def note_answered(site: Site, container: ObservedContainer, seconds: float | None) -> None:
    """`seconds`: from its start to its answer; None where it was not started in this apply."""
    recorded = container.recorded
    inputs = str(recorded.decisions.get("inputs")) if recorded is not None else ""
    lines = [container.id if seconds is None else f"{container.id} {seconds:.1f}"]
    if recorded is not None and INPUTS.match(inputs):
        lines.append(f"{recorded.key} {inputs} {site.context.apply}")
        site.context.proven[site.host, container.id] = str(recorded.key)
    _append(site, "\n".join(lines), f"that container {container.id[:12]} answered")


def take_back(site: Site, container: ObservedContainer) -> None:
    """What this apply noted of a container that it takes away again: what was before it is what was applied."""
    key = site.context.proven.pop((site.host, container.id), None)
    if key is not None:
        _append(site, f"{key} - {site.context.apply}", f"that container {container.id[:12]} is taken away again")


def _append(site: Site, text: str, what: str) -> None:
    argv = ["sh", "-c", SCRIPT, "deployer-answered", f"{site.context.state_dir}/{site.context.project}", text]
    try:
        done = site.transport.run(argv, timeout=RUN_TIMEOUT)
    except HostError as error:
        why = error.diagnostic.message
    else:
        if done.exit_code == 0:
            return
        why = clean(done.stderr[-500:].decode("utf-8", "replace")) or f"exit code {done.exit_code}"
    site.watch.emit(Note(f"it could not be noted {what}: {why}", site.host))


def parse_answered(body: bytes) -> dict[str, float | None]:
    """Seconds by container id; what is no such line is left out."""
    found: dict[str, float | None] = {}
    for line in _lines(body):
        match = LINE.match(line)
        if match is not None:
            found[match[1]] = float(match[2]) if match[2] else found.get(match[1])
    return found


def parse_proven(project: str, body: bytes) -> tuple[Proven, ...]:
    """Of a project's note: of each replica what was proved last and not taken back."""
    found: dict[tuple[str, str], Proven] = {}
    for line in _lines(body) if NAME.match(project) else ():
        match = PROVEN.match(line)
        if match is None:
            continue
        replica, inputs, apply = match.groups()
        found.pop((replica, apply), None)
        if inputs != "-":
            found[replica, apply] = Proven(project, replica, inputs, apply)
    return tuple({proven.replica: proven for proven in found.values()}.values())


def _lines(body: bytes) -> list[str]:
    return decoded(body[-MOST_READ:]).split("\n")
