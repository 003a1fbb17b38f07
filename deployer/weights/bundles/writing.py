"""Bundles as they are written: a folder that gets its name at the end, a tar, or parts of one. Decides nothing of what
is in them."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, OperationError
from deployer.values.bundle import BLOBS, INDEX, SIGNATURE, Content
from deployer.weights.bundles.archive import part_path, parts_of
from deployer.weights.bundles.reading import PIECE, Follow
from deployer.weights.bundles.store import write_whole, writing
from deployer.weights.bundles.tar import BLOCK, header, members, padded, whole_size

LEAST_PART = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Target:
    """Where a bundle is to be, and `making`: beside it, what is there until it is whole. `split`: bytes that every part
    is smaller than."""

    path: Path
    split: int | None = None

    @property
    def is_tar(self) -> bool:
        return self.path.suffix == ".tar"

    @property
    def making(self) -> Path:
        return self.path.with_name(f"{self.path.name}.making")

    @property
    def blobs(self) -> Path:
        return self.making / BLOBS

    def begin(self) -> None:
        """OperationError where something is there already. What an earlier run has brought stays."""
        if os.path.lexists(self.path) or parts_of(self.path):
            hint = "name another one, or remove it"
            raise OperationError(Diagnostic("bundle-exists", f"there is something at `{self.path}` already", hint=hint))
        with writing(self.making):
            self.blobs.mkdir(parents=True, exist_ok=True)

    def finish(self, index: bytes, signature: bytes | None, contents: Sequence[Content], follow: Follow) -> None:
        """It has its name afterwards, and nothing of the making is left. OperationError."""
        with writing(self.path):
            _only(self.making, contents)
            write_whole(self.making / INDEX, index)
            if signature is not None:
                write_whole(self.making / SIGNATURE, signature)
            if not self.is_tar:
                self.making.rename(self.path)
                return
            self._clear()
            self._refuse_full(contents)
            self._archive(index, signature, contents, follow)
            shutil.rmtree(self.making)

    def _clear(self) -> None:
        """Takes away what a killed run wrote of the tar or of its parts, which may have been others."""
        name = glob.escape(self.path.name)
        for pattern in (f"{name}.new", f"{name}.part-*-of-*.new"):
            for path in self.path.parent.glob(pattern):
                path.unlink()

    def _refuse_full(self, contents: Sequence[Content]) -> None:
        need, free = sum(content.size for content in contents), shutil.disk_usage(self.path.parent).free
        if need > free:
            message = f"a tar of {need:,} bytes does not fit beside `{self.making}`: {free:,} are free"
            hint = "free space and run it again, which fetches nothing anew; or make a folder instead of a tar"
            raise OperationError(Diagnostic("disk-full", message, hint=hint))

    def _archive(self, index: bytes, signature: bytes | None, contents: Sequence[Content], follow: Follow) -> None:
        wanted = [*members(len(index), len(signature or b""), contents)]
        size = whole_size(wanted[-1])
        room = (self.split - 1) // BLOCK * BLOCK if self.split is not None else size
        count = -(-size // room)
        names = [part_path(self.path, n, count) for n in range(1, count + 1)] if self.split is not None else [self.path]
        done = 0
        with _Parts([name.with_name(f"{name.name}.new") for name in names], room) as parts:
            for member in wanted:
                parts.write(header(member.path, member.size))
                for piece in _pieces(self.making / member.path):
                    parts.write(piece)
                    done += len(piece)
                    follow(done)
                parts.write(b"\0" * (padded(member.size) - member.size))
            parts.write(b"\0" * (size - wanted[-1].end))
        for name in reversed(names):  # the first one holds the index
            name.with_name(f"{name.name}.new").rename(name)


class _Parts:
    """Files of at most `room` bytes, filled one after the other."""

    def __init__(self, paths: Sequence[Path], room: int) -> None:
        self._paths, self._room, self._left = iter(paths), room, 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> _Parts:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if not self._left:
                self._close()
                self._file, self._left = next(self._paths).open("wb"), self._room
            assert self._file is not None
            now = rest[: self._left]
            self._file.write(now)
            rest, self._left = rest[len(now) :], self._left - len(now)

    def _close(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _only(making: Path, contents: Sequence[Content]) -> None:
    """What an earlier run brought for another spec is not part of this bundle."""
    wanted = {making / content.path for content in contents}
    for path in [path for path in making.rglob("*") if not path.is_dir() and path not in wanted]:
        path.unlink()
