"""The hosts' own record of who applied what: one JSON line an apply in STATE_DIR/PROJECT/journal, and to syslog.

Only ever appended to. A host that cannot write it is a warning: what was applied is applied.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Literal

from deployer.dataclass import dataclass
from deployer.engine.parting import Parting, part, written
from deployer.engine.redaction import clean
from deployer.errors import Diagnostic
from deployer.values.names import STATE_DIR

if TYPE_CHECKING:
    from deployer.engine.context import Transports

MOST_CHANGES, MAX_CHANGE = 12, 80
MAX_FIELD = 100  # characters: an entry stays below 4 KiB, which is appended at once
SCRIPT = """
umask 022
line="{\\"time\\":\\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\\",$(cat)"
mkdir -p -- "$1" && printf '%s\\n' "$line" >>"$1/journal" || exit 1
if command -v logger >/dev/null 2>&1; then logger -t deployer -- "$line" </dev/null >/dev/null 2>&1; fi
exit 0
"""


Ending = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """`who`: user@machine. `plan`: the plan's digest. `commit`: of the spec's git repository, where it is one."""

    project: str
    apply: str
    who: str
    deployer: str
    verb: Literal["apply", "destroy", "rollback", "force-unlock"]
    plan: str
    result: Ending
    commit: str | None = None
    summary: str = ""  # as `2 created, 1 removed`
    changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by host, as `replace chat-0`


def record(
    transports: Transports, hosts: Iterable[str], entry: JournalEntry, state_dir: str = STATE_DIR
) -> tuple[Diagnostic, ...]:
    """Appends the entry on each host; a warning for each host that did not take it."""
    return part(transports, {host: [journal_parting(entry, host, state_dir)] for host in hosts})


def journal_parting(entry: JournalEntry, host: str, state_dir: str = STATE_DIR) -> Parting:
    directory = f"{state_dir}/{entry.project}"
    argv = ["sh", "-c", SCRIPT, "deployer-journal", directory]
    return written("journal-failed", "the journal", directory, argv, journal_line(entry, host))


def journal_line(entry: JournalEntry, host: str) -> bytes:
    """The JSON object without its opening brace: the host puts its own time in front."""
    changes = entry.changes.get(host, ())
    fields = {
        "apply": entry.apply,
        "verb": entry.verb,
        "who": entry.who,
        "commit": entry.commit,
        "plan": entry.plan,
        "result": entry.result,
        "summary": entry.summary,
        "deployer": entry.deployer,
    }
    short: dict[str, object] = {key: clean(value)[:MAX_FIELD] for key, value in fields.items() if value is not None}
    some = [clean(change)[:MAX_CHANGE] for change in changes[:MOST_CHANGES]]
    more = len(changes) - len(some)
    data = short | ({"changes": some} if some else {}) | ({"more": more} if more else {})
    line = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return line.encode("utf-8", "replace").removeprefix(b"{")
