"""Where the files of a tar lie, without unpacking any: hostile archives are refused before a byte of them is used.

tarfile reads headers of any size into memory and unpacks what it is told to; here nothing is ever unpacked.
"""

from __future__ import annotations

import posixpath
import re
from tarfile import HeaderError, TarInfo
from typing import BinaryIO

from deployer.dataclass import dataclass
from deployer.formats.text import one_line, whole_number

BLOCK = 512
MOST_MEMBERS = 50_000
MOST_HEADER = 1 << 20  # bytes of an extended header
FILE, FOLDER, SYMLINK = (b"0", b"\0", b"7"), b"5", b"2"
EXTENDED, GLOBAL, LONG_NAME, LONG_LINK = b"x", b"g", b"L", b"K"
RECORD = re.compile(rb"(\d{1,7}) ([^=]{1,200})=")


@dataclass(frozen=True, slots=True)
class Member:
    offset: int
    size: int


@dataclass(slots=True)
class _Next:
    """What extended headers say of the member that follows them."""

    name: str | None = None
    link: str | None = None
    size: int | None = None


def read_members(file: BinaryIO) -> dict[str, Member]:
    """Every regular file by its name; a link stands for the file it leads to. ValueError says what is wrong."""
    length = file.seek(0, 2)
    file.seek(0)
    found: dict[str, Member] = {}
    links: dict[str, str] = {}
    following = _Next()
    while True:
        block = file.read(BLOCK)
        if len(block) < BLOCK:
            raise ValueError("it is cut short")
        if not block.strip(b"\0"):
            break
        info = _header(block)
        if info.type in (EXTENDED, GLOBAL, LONG_NAME, LONG_LINK):
            _extend(following, info.type, _read(file, info.size))
            continue
        name = _safe(following.name if following.name is not None else info.name)
        size = following.size if following.size is not None else info.size
        if name in found or name in links:
            raise ValueError(f"`{one_line(name, 100)}` stands in it twice")
        if len(found) + len(links) >= MOST_MEMBERS:
            raise ValueError("it has too many files")
        _note(info, name, Member(file.tell(), size), following, (found, links))
        if info.type in FILE:
            if file.tell() + size > length:
                raise ValueError("it is cut short")
            file.seek(-(-size // BLOCK) * BLOCK, 1)
        following = _Next()
    return {**found, **{name: found[target] for name, target in links.items() if target in found}}


def _note(
    info: TarInfo, name: str, member: Member, following: _Next, into: tuple[dict[str, Member], dict[str, str]]
) -> None:
    if info.type in FILE:
        into[0][name] = member
    elif info.type == SYMLINK:  # old Dockers save a layer once, and links to it
        target = following.link if following.link is not None else info.linkname
        if target.startswith("/"):
            raise ValueError(f"`{one_line(name, 100)}` is a link that leads out of it")
        into[1][name] = _safe(posixpath.normpath(posixpath.join(posixpath.dirname(name), target)))
    elif info.type != FOLDER:
        raise ValueError(f"`{one_line(name, 100)}` is no file but a device, a pipe or a hard link")


def _header(block: bytes) -> TarInfo:
    try:
        return TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except HeaderError as error:
        raise ValueError(f"it is no tar: {error}") from None


def _read(file: BinaryIO, size: int) -> bytes:
    if not 0 <= size <= MOST_HEADER:
        raise ValueError("it has a header that is too long")
    padded = -(-size // BLOCK) * BLOCK
    data = file.read(padded)
    if len(data) < padded:
        raise ValueError("it is cut short")
    return data[:size]


def _extend(following: _Next, kind: bytes, data: bytes) -> None:
    if kind == LONG_NAME:
        following.name = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
    elif kind == LONG_LINK:
        following.link = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
    elif kind == EXTENDED:
        for key, value in _records(data):
            _take(following, key, value)


def _take(following: _Next, key: str, value: str) -> None:
    if key == "path":
        following.name = value
    elif key == "linkpath":
        following.link = value
    elif key == "size":
        following.size = whole_number(value)
        if following.size is None:
            raise ValueError("it has a file of no size")
    elif key.startswith("GNU.sparse"):
        raise ValueError("it has a sparse file")


def _records(data: bytes) -> list[tuple[str, str]]:
    """POSIX.1-2001: `LENGTH KEY=VALUE` and a newline, the length that of all of it."""
    found, at = [], 0
    while at < len(data):
        match = RECORD.match(data, at)
        if match is None or (end := at + int(match[1])) > len(data) or end <= match.end():
            raise ValueError("it has an extended header that is none")
        value = data[match.end() : end - 1].decode("utf-8", "surrogateescape")
        found.append((match[2].decode("utf-8", "surrogateescape"), value))
        at = end
    return found


def _safe(name: str) -> str:
    """The name without `./`; ValueError for one that leads out of the archive."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name or len(name) > 4000:
        raise ValueError(f"`{one_line(name, 100)}` leads out of it")
    return "/".join(parts)
