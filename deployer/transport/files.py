"""Writing a file on a host with the usual tools: beside, complete or not at all, then renamed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from deployer.transport.failures import write_failed

if TYPE_CHECKING:
    from deployer.transport.base import Transport

# noclobber makes the shell create the file anew (O_EXCL): a planted link is never followed. A connection that dies
# halfway is an end of file to `cat`, so the size decides whether the file is whole.
WRITE = """
umask 077
set -C
[ ! -d "$1" ] || { echo "$1 is a directory" >&2; exit 1; }
cat > "$2" || exit 1
if [ "$(wc -c < "$2")" -eq "$3" ] && chmod "$4" "$2" && mv -f "$2" "$1"; then exit 0; fi
rm -f "$2"
exit 1
"""
SLOWEST = 1024 * 1024  # bytes a second
LEAST_SECONDS = 60.0


def write_file(transport: Transport, path: str, data: bytes, mode: int) -> None:
    """HostError `write-failed`, with what the host said."""
    if not path.startswith("/") or path.endswith("/"):
        raise write_failed(transport.name, path, b"the path is not that of a file, from /")
    beside = f"{path}.deployer-{secrets.token_hex(6)}"
    argv = ["sh", "-c", WRITE, "deployer-put", path, beside, str(len(data)), f"{mode & 0o7777:o}"]
    done = transport.run(argv, stdin=data, timeout=LEAST_SECONDS + len(data) / SLOWEST)
    if done.exit_code != 0:
        raise write_failed(transport.name, path, done.stderr)
