"""A bundle as one tar, or as numbered parts of it: read at the places that its index gives its files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.errors import OperationError
from deployer.values.bundle import INDEX, SIGNATURE, Bundle, Content
from deployer.weights.bundles.index import MOST, bad_bundle
from deployer.weights.bundles.reading import MOST_SIGNATURE, PIECE, unreadable
from deployer.weights.bundles.tar import BLOCK, Member, difference, members, padded, size_said, whole_size

PART = re.compile(r"(?P<stem>.+)\.part-(?P<number>\d{1,4})-of-(?P<count>\d{1,4})\Z")


def part_path(stem: Path, number: int, count: int) -> Path:
    return stem.with_name(f"{stem.name}.part-{number}-of-{count}")


def parts_of(path: Path, *, is_whole: bool = True) -> tuple[Path, ...]:
    """The files that a tar lies in: itself, or all the parts of which `path` is one or the common name. () where there
    is none; OperationError where one is missing, unless only the first is needed (not `is_whole`)."""
    match = PART.match(path.name)
    if match is None and path.exists():
        return (path,)
    stem = path.with_name(match["stem"]) if match else path
    there: list[tuple[int, int]] = []
    with suppress(OSError):
        for entry in path.parent.iterdir():
            if (found := PART.match(entry.name)) and found["stem"] == stem.name:
                there.append((int(found["number"]), int(found["count"])))
    counts = {count for _, count in there}
    if not there:
        return ()
    if len(counts) > 1:
        raise bad_bundle(str(stem), "parts of several bundles lie side by side")
    (count,) = counts
    missing = sorted(set(range(1, count + 1)) - {number for number, _ in there})
    if missing and not is_whole and missing[0] > 1:
        return tuple(part_path(stem, number, count) for number in range(1, missing[0]))
    if missing:
        raise bad_bundle(str(stem), f"`{part_path(stem, missing[0], count).name}` is missing")
    return tuple(part_path(stem, number, count) for number in range(1, count + 1))


@dataclass(frozen=True, slots=True)
class Volumes:
    """Files one after the other, as if they were one."""

    paths: tuple[Path, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Volumes:
        try:
            if strange := [path for path in paths if not path.is_file()]:
                raise bad_bundle(str(strange[0]), "it is no plain file")
            return cls(tuple(paths), tuple(path.stat().st_size for path in paths))
        except OSError as error:
            raise unreadable(str(paths[0]), error) from None

    @property
    def size(self) -> int:
        return sum(self.sizes)

    def at(self, offset: int) -> tuple[int, int]:
        """Which file it is in, and where."""
        for number, size in enumerate(self.sizes):
            if offset < size:
                return number, offset
            offset -= size
        return len(self.sizes) - 1, self.sizes[-1]

    def read(self, offset: int, length: int) -> bytes:
        """Less than that only at the end of all."""
        return b"".join(self.pieces(offset, length))

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        while length > 0 and offset < self.size:
            number, within = self.at(offset)
            piece = self._read(self.paths[number], within, min(PIECE, length, self.sizes[number] - within))
            if not piece:
                return
            offset, length = offset + len(piece), length - len(piece)
            yield piece

    def _read(self, path: Path, offset: int, length: int) -> bytes:
        try:
            with path.open("rb", buffering=0) as file:
                return os.pread(file.fileno(), length, offset)
        except OSError as error:
            raise unreadable(str(path), error) from None


class TarReader:
    def __init__(self, path: Path, volumes: Volumes) -> None:
        self.name = str(path)
        self._volumes = volumes
        self._starts: dict[str, int] = {}
        index = self._first(INDEX, 0, MOST)
        if index is None:
            raise bad_bundle(self.name, difference(volumes.read(0, BLOCK), INDEX))
        self.index = volumes.read(index.start, index.size)
        signature = self._first(SIGNATURE, index.end, MOST_SIGNATURE)
        self.signature = volumes.read(signature.start, signature.size) if signature is not None else None

    def check(self, bundle: Bundle) -> None:
        """Every header is the one that has to be there, what fills up is empty, and nothing follows."""
        sizes = len(self.index), len(self.signature or b"")
        wanted = [*members(*sizes, bundle.contents)]
        if self._volumes.size != whole_size(wanted[-1]):
            raise self._wrong_size(whole_size(wanted[-1]))
        for member in wanted:
            block = self._volumes.read(member.offset, BLOCK)
            if size_said(block, member.path, member.size) != member.size:
                raise bad_bundle(self.name, difference(block, member.path))
            filled = padded(member.size) - member.size
            if self._volumes.read(member.start + member.size, filled).strip(b"\0"):
                raise bad_bundle(self.name, f"something hides behind `{member.path}`")
            self._starts[member.path] = member.start
        if self._volumes.read(wanted[-1].end, self._volumes.size - wanted[-1].end).strip(b"\0"):
            raise bad_bundle(self.name, "something hides behind its last file")

    def pieces(self, content: Content) -> Iterator[bytes]:
        left = content.size
        for piece in self._volumes.pieces(self._starts[content.path], content.size):
            left -= len(piece)
            yield piece
        if left:
            raise bad_bundle(self.name, f"`{content.path}` is cut off")

    def place(self, content: Content) -> str:
        """With the parts that it lies in, since one of them is to be copied again."""
        first = self._starts[content.path]
        numbers = [self._volumes.at(at)[0] for at in (first, first + max(content.size, 1) - 1)]
        names = [path.name for path in self._volumes.paths[numbers[0] : numbers[1] + 1]]
        return f"{content.path}` in `{'`, `'.join(names)}"

    def _first(self, path: str, offset: int, most: int) -> Member | None:
        size = size_said(self._volumes.read(offset, BLOCK), path, most)
        return Member(path, size, offset) if size is not None else None

    def _wrong_size(self, wanted: int) -> OperationError:
        paths, sizes = self._volumes.paths, self._volumes.sizes
        short = next((path for path, size in zip(paths[:-1], sizes, strict=False) if size != sizes[0]), paths[-1])
        more = "fewer" if self._volumes.size < wanted else "more"
        return bad_bundle(self.name, f"`{short.name}` ends with {abs(self._volumes.size - wanted)} bytes {more}")
