"""The tar that a bundle is: one place for each of its files, so that an archive is compared and never interpreted.

Names, sizes and order follow from the index. A link, a device, a second file of one name or a path out of its folder is
therefore just a header that differs from the one that has to be there.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator

from deployer.dataclass import dataclass
from deployer.formats.text import one_line
from deployer.values.bundle import INDEX, SIGNATURE, Content

BLOCK = tarfile.BLOCKSIZE
RECORD = tarfile.RECORDSIZE
KINDS = {tarfile.LNKTYPE: "a hard link", tarfile.SYMTYPE: "a symbolic link", tarfile.DIRTYPE: "a folder",
         tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device", tarfile.FIFOTYPE: "a pipe"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Member:
    """`offset`: of its header; the content follows, filled up to a whole block."""

    path: str
    size: int
    offset: int

    @property
    def start(self) -> int:
        return self.offset + BLOCK

    @property
    def end(self) -> int:
        return self.start + padded(self.size)


def padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def header(path: str, size: int) -> bytes:
    """The same bytes whoever makes them, and whenever."""
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info.tobuf(tarfile.GNU_FORMAT)


def members(index_size: int, signature_size: int, contents: Iterable[Content]) -> Iterator[Member]:
    """All of them in order; without a signature there is no file of it."""
    signature = [(SIGNATURE, signature_size)] if signature_size else []
    at = 0
    for path, size in [(INDEX, index_size), *signature, *((c.path, c.size) for c in contents)]:
        yield (member := Member(path, size, at))
        at = member.end


def whole_size(last: Member) -> int:
    """Of the archive: two empty blocks end it, filled up to a record."""
    return -(-(last.end + 2 * BLOCK) // RECORD) * RECORD


def size_said(block: bytes, path: str, most: int) -> int | None:
    """The size in a header, if it is that of a plain file of this name and no larger than `most`."""
    try:
        size = tarfile.TarInfo.frombuf(block, "ascii", "replace").size
    except (tarfile.TarError, ValueError):
        return None
    return size if 0 <= size <= most and header(path, size) == block else None


def difference(block: bytes, path: str) -> str:
    """What stands where the header of `path` has to."""
    try:
        found = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except (tarfile.TarError, ValueError):
        return f"what stands in the place of `{path}` is no file"
    name = one_line(found.name, 100)
    if found.type in KINDS:
        return f"it holds {KINDS[found.type]}, `{name}`, in the place of `{path}`"
    return f"it holds `{name}` with {found.size} bytes in the place of `{path}`"
