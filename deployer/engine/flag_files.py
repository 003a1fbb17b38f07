"""What images said of their flags, kept on the host in STATE_DIR/image_flags: written by `doctor`, read by the probe.

Only ever believed of the image whose id it is named by. A host that cannot write it is asked again next time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from deployer.formats.text import decoded
from deployer.pattern import pattern
from deployer.transport.base import Transport
from deployer.values.facts import ImageFlags
from deployer.values.names import STATE_DIR

FORMAT = "deployer-flags 1"
FOLDER = "image_flags"  # of the state directory; no project can have that name
IMAGE = pattern(r"[0-9a-f]{64}\Z")
TIME = pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
FLAG = pattern(r"-{1,2}[A-Za-z0-9][\w.-]{0,79}\Z", re.ASCII)
MAX_FILE = 24576  # bytes, as the probe reads them; some 1000 flags
MAX_FLAGS = 3000
KEPT = 16  # files of a host; the probe reads the latest 6
# A connection that dies halfway is an end of file to `cat`, so the size decides whether the file is whole.
WRITE = f"""
umask 022
new=$1/new.$$ first="{FORMAT} $(date -u +%Y-%m-%dT%H:%M:%SZ)"
mkdir -p -- "$1" && {{ printf '%s\\n' "$first" && cat; }} >"$new" &&
    [ "$(wc -c <"$new")" -eq $((${{#first}} + 1 + $3)) ] && mv -f -- "$new" "$1/$2" || {{ rm -f -- "$new"; exit 1; }}
cd -- "$1" && ls -t | grep -x '[0-9a-f]*' | tail -n +{KEPT + 1} | while IFS= read -r old; do rm -f -- "$old"; done
exit 0
"""


def write_flags(transport: Transport, image: str, flags: Sequence[str], state_dir: str = STATE_DIR) -> bool:
    """False where the host did not take it. The host puts its own time in front."""
    text, size = "", 64
    for flag in flags:
        size += len(flag) + 1
        if size > MAX_FILE:
            return False  # a part of them would say that it has no others
        text += f"{flag}\n"
    argv = ["sh", "-c", WRITE, "deployer-flags", f"{state_dir}/{FOLDER}", image.removeprefix("sha256:")]
    data = text.encode()
    return transport.run([*argv, str(len(data))], stdin=data, timeout=20.0).exit_code == 0


def parse_flag_file(words: Sequence[str], body: bytes) -> ImageFlags | None:
    """What `write_flags` wrote, or whoever did; None where it is not that. `words`: the file's name."""
    name = words[0] if words else ""
    first, _, rest = decoded(body).partition("\n")
    time = first.removeprefix(FORMAT).strip()
    flags = rest.split()
    if not IMAGE.match(name) or not first.startswith(FORMAT) or not TIME.match(time) or len(body) >= MAX_FILE:
        return None
    if not flags or len(flags) > MAX_FLAGS or not all(map(FLAG.match, flags)):
        return None
    return ImageFlags(f"sha256:{name}", time, tuple(flags))
