"""A host reads a copy of a model that it had before deployer: the script, followed, and what it says of each file.
Writes nothing beside deployer's own record of it."""

from __future__ import annotations

import hashlib
import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cache
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, OperationError
from deployer.formats.text import decoded, one_line, whole_number
from deployer.transport.base import Transport
from deployer.values.presynced import RECORDS

WORKERS = 4  # files at once
SLOWEST = 1 << 20  # bytes a second: a disk that is slower all the time is given up
LEAST_TIME = 3600.0  # seconds
MOST_PENDING = 4096  # bytes of a line that has no end yet
HASH = re.compile(r"[0-9a-f]+\Z")
SEEN = re.compile(r"[0-9a-f]{64} ([0-9a-f]{40}|-) [0-9]{1,19} [0-9]{1,19} [0-9]{1,20}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be read: `paths` below `folder`, none of them led out of `root`. `size`: bytes of them all. `again`:
    although they were read before. `told`: of what another host read of the same files, by path, as of `Outcome`."""

    root: str
    folder: str
    paths: tuple[str, ...]
    size: int
    state_dir: str
    again: bool = False
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> str:
        return posixpath.join(self.state_dir, RECORDS, hashlib.sha256(self.folder.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Outcome:
    """By path: SHA-256 and git's id (empty of large files); or why there are none, in the script's word. `seen`: both,
    and the file's size, time and inode when it was read, as the script writes them down."""

    hashes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, str] = field(default_factory=dict)


def read_copy(transport: Transport, reading: Reading, follow: Callable[[int], object]) -> Outcome:
    """OperationError where it cannot be read to the end; what was read until then is not read again."""
    found = _Found({}, {}, {})
    ended: list[str] = []
    pending = b""
    with transport.stream(
        ["sh", "-s"], stdin=reading_script(reading), timeout=LEAST_TIME + reading.size / SLOWEST
    ) as chunks:
        for chunk in chunks:
            *lines, pending = (pending + chunk).split(b"\n")
            pending = pending[-MOST_PENDING:]
            for line in lines:
                word, *rest = decoded(line).split(" ")
                if word == "progress":
                    follow(whole_number(rest[0] if rest else "") or 0)
                elif word in ("done", "failed"):
                    ended = [word, *rest]
                else:
                    found.note(word, rest, reading.paths)
    if ended[:1] != ["done"]:
        raise _broken(reading, ended, transport.name)
    return Outcome(found.hashes, found.refused, found.seen)


@dataclass(frozen=True, slots=True)
class _Found:
    """An outcome while it comes."""

    hashes: dict[str, tuple[str, str]]
    refused: dict[str, str]
    seen: dict[str, str]

    def note(self, word: str, rest: list[str], paths: tuple[str, ...]) -> None:
        number = whole_number(rest[0], len(paths)) if rest else None
        if not number:
            return
        path = paths[number - 1]
        if word == "read" and len(rest) >= 3 and HASH.match(rest[1]):
            self.hashes[path] = (rest[1], rest[2] if HASH.match(rest[2]) else "")
            if len(rest) == 6 and SEEN.match(seen := " ".join(rest[1:])):
                self.seen[path] = seen
        elif word in ("outside", "missing", "changed", "altered", "denied"):
            self.refused[path] = word


def _broken(reading: Reading, ended: list[str], host: str) -> OperationError:
    words = one_line(" ".join(ended[2:]))
    evidence = (words,) if words else ()
    if ended[1:2] == ["no-folder"]:
        folder = posixpath.dirname(reading.record)
        message = f"what is read of `{reading.folder}` cannot be written down in `{folder}`"
        hint = f"let deployer's user write it: `sudo install -d -o USER {folder}` on the host, or set `become: sudo`"
        return OperationError(Diagnostic("state-dir-denied", message, evidence=evidence, hint=hint, host=host))
    message = f"the reading of `{reading.folder}` broke off"
    hint = "apply again: it goes on with the files that were not read yet"
    return OperationError(Diagnostic("read-broken", message, evidence=evidence, hint=hint, host=host))


def reading_script(reading: Reading) -> bytes:
    settings = {
        "ROOT": reading.root,
        "FOLDER": reading.folder,
        "RECORD": reading.record,
        "COUNT": str(len(reading.paths)),
        "WORKERS": str(WORKERS),
        "AGAIN": "yes" if reading.again else "",
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    items = (
        f"{number}) path={shlex.quote(path)} told={shlex.quote(reading.told.get(path, ''))} ;;"
        for number, path in enumerate(reading.paths, 1)
    )
    lines += ["item() {", "case $1 in", *items, "esac", "}"]
    return ("\n".join(lines) + "\n" + script_body() + "\nmain </dev/null\n").encode("utf-8", "surrogateescape")


@cache
def script_body() -> str:
    return Path(__file__).with_name("copies.sh").read_text("utf-8")
