"""Tables of every flag that a backend's releases have, as package data; read when the first flag is looked up.

A table is `flags/NAME.txt`. Its first line is `releases` and the releases that were looked into, oldest first. Each
further paragraph begins with a range of these, `FIRST..LAST`, open at either end, and goes on with the flags that are
in all releases of it and in no other. Lines that begin with `#` are comments.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping

from deployer.backends.base import FlagRange


class FlagTable(Mapping[str, FlagRange]):
    """Those of one table, read at the first look. `instead`: for flags that are gone, what to write; `more`: flags of
    which more is known than the table says."""

    def __init__(
        self, name: str, instead: Mapping[str, str] | None = None, more: Mapping[str, FlagRange] | None = None
    ) -> None:
        self.name = name
        self._instead, self._more = dict(instead or {}), dict(more or {})
        self._ranges: dict[str, FlagRange] | None = None

    def __getitem__(self, flag: str) -> FlagRange:
        return self._read()[flag]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, FlagRange]:
        if self._ranges is None:
            content = pkgutil.get_data("deployer.backends", f"flags/{self.name}.txt") or b""
            self._ranges = parse_table(content.decode("utf-8"), self._instead) | self._more
        return self._ranges


def parse_table(text: str, instead: Mapping[str, str]) -> dict[str, FlagRange]:
    """Flags and their ranges. ValueError where the table is not one."""
    words = [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]
    if not words or words.pop(0) != "releases":
        raise ValueError("a table begins with `releases`")
    releases: list[str] = []
    while words and ".." not in words[0]:
        releases.append(words.pop(0))
    found: dict[str, FlagRange] = {}
    span = FlagRange()
    for word in words:
        if ".." in word and not word.startswith("-"):
            span = _range(word, releases)
        elif word in found:
            raise ValueError(f"`{word}` stands twice")
        else:
            text_ = instead.get(word)
            found[word] = span if text_ is None else FlagRange(span.since, span.gone, text_, span.after)
    return found


def _range(word: str, releases: list[str]) -> FlagRange:
    first, last = word.split("..")
    start = releases.index(first) if first else 0
    end = releases.index(last) if last else len(releases) - 1
    return FlagRange(
        since=releases[start] if start else None,
        gone=releases[end + 1] if end + 1 < len(releases) else None,
        after=releases[start - 1] if start else None,
    )
