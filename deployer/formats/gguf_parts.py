"""Names of the parts of a GGUF model that llama.cpp's gguf-split has cut into several files."""

from __future__ import annotations

import re

SPLIT = re.compile(r"(?P<stem>.*)-(?P<part>\d{5})-of-(?P<count>\d{5})\.gguf\Z")
MAX_PARTS = 999


def split_parts(path: str) -> tuple[str, ...]:
    """All parts of a split GGUF by the name of one of them; the path itself when it isn't split."""
    match = SPLIT.match(path)
    if match is None or not 1 <= int(match["count"]) <= MAX_PARTS:
        return (path,)
    count = int(match["count"])
    return tuple(f"{match['stem']}-{part:05d}-of-{count:05d}.gguf" for part in range(1, count + 1))
