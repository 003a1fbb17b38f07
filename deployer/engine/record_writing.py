"""Writes the hosts' record of where a project runs, while its lock is held. What a host does not take is a warning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployer.engine.lock import Holder
from deployer.engine.parting import Parting, part, written
from deployer.engine.project_record import render_record
from deployer.errors import Diagnostic
from deployer.values.names import STATE_DIR
from deployer.values.records import ProjectRecord

if TYPE_CHECKING:
    from deployer.engine.context import Transports

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
    script, text = (REMOVE, b"") if record is None else (WRITE, render_record(record))
    argv = ["sh", "-c", OURS + script, "deployer-record", directory, holder.apply, str(len(text))]
    return written("record-failed", "the record of the project's hosts", directory, argv, text)
