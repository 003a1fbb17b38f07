"""What NIM images listed as their profiles, kept on the host in STATE_DIR/nim_profiles: written by `nim-profiles`, read
by the probe.

Only ever believed of the image whose id it is named by. A host that cannot write it is asked again next time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from deployer.engine.flag_files import IMAGE, TIME, WRITE
from deployer.formats.text import decoded
from deployer.pattern import pattern
from deployer.transport.base import Transport
from deployer.values.names import STATE_DIR
from deployer.values.nim import ImageProfiles, NimProfile, Said

FORMAT = "deployer-profiles 1"
FOLDER = "nim_profiles"  # of the state directory; no project can have that name
MAX_FILE = 65536  # bytes, as the probe reads them; some 500 profiles
SAID: dict[str, Said] = {
    word: word for word in ("runnable", "low-memory", "compilable", "incompatible", "unsaid")
}  # fmt: skip
LINE = pattern(r"([0-9a-f]{64}) ([\w.:+-]{1,200}) ([a-z-]{1,20}) (\d{1,16}) (\d{1,10}) (\d{1,16})", re.ASCII)


def write_profiles(
    transport: Transport, image: str, profiles: Sequence[NimProfile], state_dir: str = STATE_DIR
) -> bool:
    """False where the host did not take it. The host puts its own time in front."""
    text = "".join(f"{_line(profile)}\n" for profile in profiles)
    if len(text) + 64 > MAX_FILE or not profiles:
        return False  # a part of them would say that it has no others
    script = WRITE.replace("deployer-flags 1", FORMAT)
    argv = ["sh", "-c", script, "deployer-profiles", f"{state_dir}/{FOLDER}", image.removeprefix("sha256:")]
    data = text.encode()
    return transport.run([*argv, str(len(data))], stdin=data, timeout=20.0).exit_code == 0


def _line(profile: NimProfile) -> str:
    context, less = profile.shorter or (0, 0)
    return f"{profile.id} {profile.name} {profile.said} {profile.memory or 0} {context} {less}"


def parse_profile_file(words: Sequence[str], body: bytes) -> ImageProfiles | None:
    """What `write_profiles` wrote, or whoever did; None where it is not that. `words`: the file's name."""
    name = words[0] if words else ""
    first, _, rest = decoded(body).partition("\n")
    time = first.removeprefix(FORMAT).strip()
    if not IMAGE.match(name) or not first.startswith(FORMAT) or not TIME.match(time) or len(body) >= MAX_FILE:
        return None
    found = [_profile(LINE.fullmatch(line)) for line in rest.splitlines()]
    known = tuple(profile for profile in found if profile is not None)
    return ImageProfiles(f"sha256:{name}", time, known) if known and len(known) == len(found) else None


def _profile(match: re.Match[str] | None) -> NimProfile | None:
    if match is None or match[3] not in SAID:
        return None
    memory, context, less = int(match[4]), int(match[5]), int(match[6])
    shorter = (context, less) if context and less else None
    return NimProfile(match[1], match[2], SAID[match[3]], memory or None, shorter)
