"""Simple ssh_config files (man ssh_config), read as OpenSSH reads them: hosts by pattern, plain values, first one wins.

Asking OpenSSH itself takes 12 ms of the processor for each host; whatever is not simple is its to read.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from deployer.pattern import pattern

Line = tuple[str, str]  # keyword in lower case, value

MAX_BYTES = 1024 * 1024
LINE = pattern(r"\s*(?P<keyword>[^\s=#]+)(?:\s*=\s*|\s+|\Z)(?P<value>.*?)\s*\Z", re.DOTALL)
WORD = pattern(r"[A-Za-z0-9_.:@~/,+-]+")  # nothing that quotes, comments, or stands for something else
WORDS = pattern(rf"{WORD.pattern}(?:[ \t]+{WORD.pattern})*")
PATTERNS = pattern(r"[A-Za-z0-9_.:*?!-]+(?:[ \t]+[A-Za-z0-9_.:*?!-]+)*")
NUMBER = pattern(r"[1-9][0-9]{0,4}")
PLAIN: Mapping[str, re.Pattern[str]] = {
    "host": PATTERNS,
    **dict.fromkeys(("hostname", "user", "hostkeyalias", "proxyjump", "identityfile", "identityagent"), WORD),
    **dict.fromkeys(("userknownhostsfile", "globalknownhostsfile"), WORDS),
    "identitiesonly": re.compile("yes|no"),
    "stricthostkeychecking": re.compile("yes|no|ask|accept-new"),
    **dict.fromkeys(("port", "connecttimeout"), NUMBER),
}
COLLECTED = ("identityfile",)  # of all that apply, not the first


def lines_of(file: Path) -> tuple[Line, ...]:
    """A file's keywords and values, parsed once until it changes. OSError where it cannot be read, or is too large."""
    status = file.stat()
    if status.st_size > MAX_BYTES:
        raise OSError(errno.EFBIG, "too large", str(file))
    return _lines_of(str(file), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _lines_of(file: str, modified: int, size: int) -> tuple[Line, ...]:
    with Path(file).open("rb") as content:
        return tuple(parse_lines(content.read(MAX_BYTES).decode("utf-8", "replace")))


def parse_lines(text: str) -> Iterator[Line]:
    for line in text.split("\n"):
        found = LINE.match(line)
        if found is not None:
            yield found["keyword"].lower(), found["value"]


def is_plain(line: Line) -> bool:
    """Whether this reader takes the line for what OpenSSH takes it for."""
    keyword, value = line
    return keyword in PLAIN and PLAIN[keyword].fullmatch(value) is not None


def plain_settings(alias: str, lines: Iterable[Line]) -> dict[str, Sequence[str]]:
    """What the lines say of an alias; a `Host` among them ends what is said of others."""
    found: dict[str, list[str]] = {}
    applies = True
    for keyword, value in lines:
        if keyword == "host":
            applies = is_named(alias, value.split())
        elif applies and keyword in PLAIN and (keyword in COLLECTED or keyword not in found):
            found.setdefault(keyword, []).append(value)
    hostname = found.get("hostname", [alias])[0].lower()
    return {**found, "hostname": [hostname]}


def is_named(alias: str, patterns: Sequence[str]) -> bool:
    """A pattern matches, and none with a `!` before it does."""
    matched = [pattern for pattern in patterns if _wildcard(pattern.removeprefix("!")).match(alias)]
    return bool(matched) and not any(pattern.startswith("!") for pattern in matched)


@lru_cache(maxsize=1024)
def _wildcard(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern) + r"\Z", re.DOTALL)
