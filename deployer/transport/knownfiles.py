"""known_hosts files: read once, and the few lines about one host found in them. Judges nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.transport.knownhosts import KnownKey, bare_name, matches, parse_known_hosts

MAX_BYTES = 32 * 1024 * 1024
_loading = threading.Lock()


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file's lines, those of one host found without a look at each: a fleet asks once for every host."""

    lines: tuple[KnownKey, ...]
    plain: Mapping[str, tuple[int, ...]]  # by name: places of the lines that say it as it is
    others: tuple[int, ...]  # hashed, negated or with wildcards

    @classmethod
    def of(cls, lines: tuple[KnownKey, ...]) -> KnownFile:
        plain: dict[str, list[int]] = {}
        others = []
        for place, line in enumerate(lines):
            if any(sign in line.patterns for sign in "|*?!"):
                others.append(place)
            else:
                for name in line.patterns.lower().split(","):
                    plain.setdefault(name, []).append(place)
        return cls(lines, {name: tuple(places) for name, places in plain.items()}, tuple(others))

    def about(self, names: Collection[str]) -> Iterator[KnownKey]:
        found = {place for name in names for place in self.plain.get(name, ())}
        found |= {p for p in self.others if any(matches(self.lines[p].patterns, name) for name in names)}
        return (self.lines[place] for place in sorted(found))


def load_known_hosts(files: Iterable[str], name: str) -> tuple[KnownKey, ...]:
    """The lines, of all files that can be read, that mean a host of this name, or that name without its port.

    A file is parsed once until it changes.
    """
    names = {name, bare_name(name) or name}
    found: list[KnownKey] = []
    for file in files:
        with contextlib.suppress(OSError):
            status = Path(file).stat()
            with _loading:  # all hosts ask at once: one parses, the others find it done
                known = _load(file, status.st_mtime_ns, status.st_size)
            found += known.about(names)
    return tuple(found)


@lru_cache(maxsize=64)
def _load(file: str, modified: int, size: int) -> KnownFile:
    with Path(file).open("rb") as content:
        return KnownFile.of(parse_known_hosts(content.read(MAX_BYTES).decode("utf-8", "replace"), file))
