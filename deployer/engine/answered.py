"""The host's own note of which containers answered, and how long each took: STATE_DIR/PROJECT/answered.

It tells a former revision that worked from one that never did, and how long a start takes on this host. A host that
cannot write it is no failure: then nothing is known of the container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.engine.redaction import clean
from deployer.errors import HostError
from deployer.formats.text import decoded
from deployer.pattern import pattern
from deployer.values.events import Note

if TYPE_CHECKING:
    from deployer.engine.context import Site

LINE = pattern(r"([0-9a-f]{64})(?: (\d{1,7}(?:\.\d{1,3})?))?\Z")
MOST_READ = 128 << 10  # bytes from the end: some 1500 containers
RUN_TIMEOUT = 20.0
SCRIPT = """
umask 022
file=$1/answered
mkdir -p -- "$1" && printf '%s\\n' "$2" >>"$file" || exit 1
[ "$(wc -l <"$file")" -lt 1000 ] || { tail -n 500 -- "$file" >"$file.new" && mv -f -- "$file.new" "$file"; }
"""


def note_answered(site: Site, container: str, seconds: float | None) -> None:
    """`seconds`: from its start to its answer; None where it was not started in this apply."""
    line = container if seconds is None else f"{container} {seconds:.1f}"
    argv = ["sh", "-c", SCRIPT, "deployer-answered", f"{site.context.state_dir}/{site.context.project}", line]
    try:
        done = site.transport.run(argv, timeout=RUN_TIMEOUT)
    except HostError as error:
        why = error.diagnostic.message
    else:
        if done.exit_code == 0:
            return
        why = clean(done.stderr[-500:].decode("utf-8", "replace")) or f"exit code {done.exit_code}"
    site.watch.emit(Note(f"it could not be noted that container {container[:12]} answered: {why}", site.host))


def parse_answered(body: bytes) -> dict[str, float | None]:
    """Seconds by container id; what is no such line is left out."""
    found: dict[str, float | None] = {}
    for line in decoded(body[-MOST_READ:]).split("\n"):
        match = LINE.match(line)
        if match is not None:
            found[match[1]] = float(match[2]) if match[2] else found.get(match[1])
    return found
