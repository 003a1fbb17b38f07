"""Host patterns of inventories: `db[01:10:3].lan:2222` to the names it stands for."""

from __future__ import annotations

import re
from math import prod
from string import ascii_letters

from deployer.dataclass import dataclass

MOST_HOSTS = 10_000
BRACKETED_PORT = re.compile(r"\[(?P<host>.+)\]:(?P<port>\d+)\Z")
PORT = re.compile(r"(?P<host>(?:[^:\[\]]|\[[^\]]*\])*):(?P<port>\d+)\Z")
RANGE = re.compile(r"\[(?P<bounds>[^\[\]]*)\]")
HOW = "a range is `[BEGIN:END]` or `[BEGIN:END:STEP]`"


@dataclass(frozen=True, slots=True)
class Range:
    """The values of `[BEGIN:END:STEP]`: letters, or numbers filled up with zeros to a width."""

    numbers: range
    width: int = 0
    letters: bool = False

    def texts(self) -> list[str]:
        if self.letters:
            return [ascii_letters[number] for number in self.numbers]
        return [str(number).zfill(self.width) for number in self.numbers]


def expand(pattern: str) -> tuple[list[str], str | None]:
    """The names of a pattern, and its port. ValueError for what is no range, or stands for too many hosts."""
    match = BRACKETED_PORT.match(pattern) or PORT.match(pattern)
    host, port = (match["host"], match["port"]) if match else (pattern, None)
    if pattern.endswith(":") and host.count(":") == 1:
        raise ValueError("a port is missing after the `:`")
    fixed = RANGE.split(host)[::2]
    if "[" in "".join(fixed):
        raise ValueError(f"`[` has no `]`; {HOW}")
    ranges = [_parsed(bounds) for bounds in RANGE.findall(host)]
    if prod(len(part.numbers) for part in ranges) > MOST_HOSTS:
        raise ValueError(f"it stands for more than {MOST_HOSTS:,} hosts")
    names = [fixed[0]]
    for part, rest in zip(ranges, fixed[1:], strict=True):
        names = [name + text + rest for name in names for text in part.texts()]
    return names, port


def _parsed(bounds: str) -> Range:
    parts = bounds.split(":")
    if len(parts) not in (2, 3):
        raise ValueError(HOW)
    first, last, step = parts[0] or "0", parts[1], _whole(parts[2]) if len(parts) == 3 else 1
    if not last:
        raise ValueError("the range has no end")
    if step < 1:
        raise ValueError("the step of a range is 1 or more")
    letters = len(first) == len(last) == 1 and first in ascii_letters and last in ascii_letters
    width = len(first) if not letters and first[0] == "0" and len(first) > 1 else 0
    if width and width != len(last):
        raise ValueError(f"`{first}` and `{last}` have different lengths")
    begin, end = (ascii_letters.index(first), ascii_letters.index(last)) if letters else (_whole(first), _whole(last))
    if begin > end:
        raise ValueError("the range ends before it begins")
    return Range(range(begin, end + 1, step), width, letters)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError(f"`{text}` is no number; {HOW}")
    return int(text)
