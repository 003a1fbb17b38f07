"""A bundle as it lies on a disk: its index, its signature, and its files by name. Writes nothing, follows no link."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from deployer.errors import Diagnostic, OperationError
from deployer.values.bundle import INDEX, SIGNATURE, Bundle, Content
from deployer.weights.bundles.index import MOST, bad_bundle

PIECE = 1 << 20  # bytes
MOST_SIGNATURE = 64 << 10
Follow = Callable[[int], object]  # bytes that are done


class Reader(Protocol):
    """`index` and `signature` as they were read once; `signature` is None where there is none."""

    name: str
    index: bytes
    signature: bytes | None

    def check(self, bundle: Bundle) -> None:
        """By names and sizes alone: all that the index names is there, and is a plain file. OperationError."""

    def pieces(self, content: Content) -> Iterator[bytes]:
        """Exactly `content.size` bytes. OperationError."""
        ...

    def place(self, content: Content) -> str:
        """Where it is, for people."""
        ...


class FolderReader:
    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self.folder = folder
        self.index = self._read(INDEX, MOST)
        self.signature = self._read(SIGNATURE, MOST_SIGNATURE) if os.path.lexists(folder / SIGNATURE) else None

    def check(self, bundle: Bundle) -> None:
        for content in bundle.contents:
            os.close(self._open(content.path, content.size))

    def pieces(self, content: Content) -> Iterator[bytes]:
        descriptor = self._open(content.path, content.size)
        with os.fdopen(descriptor, "rb") as file:
            left = content.size
            while left > 0 and (piece := self._piece(file.read, min(PIECE, left), content.path)):
                left -= len(piece)
                yield piece
        if left:
            raise bad_bundle(self.name, f"`{content.path}` is cut off")

    def place(self, content: Content) -> str:
        return str(self.folder / content.path)

    def _piece(self, read: Callable[[int], bytes], length: int, path: str) -> bytes:
        try:
            return read(length)
        except OSError as error:
            raise unreadable(str(self.folder / path), error) from None

    def _read(self, path: str, most: int) -> bytes:
        with os.fdopen(self._open(path), "rb") as file:
            text = self._piece(file.read, most + 1, path)
        if len(text) > most:
            raise bad_bundle(self.name, f"`{path}` is longer than {most} bytes")
        return text

    def _open(self, path: str, size: int | None = None) -> int:
        """No part of the path below the bundle's folder may be a link, and the file is a plain one of that size."""
        *folders, name = path.split("/")
        try:
            here = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise unreadable(str(self.folder), error) from None
        try:
            for folder in folders:
                below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
                os.close(here)
                here = below
            found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
        except FileNotFoundError:
            raise bad_bundle(self.name, f"`{path}` is missing") from None
        except OSError as error:
            raise bad_bundle(self.name, f"`{path}` is a link, or cannot be read: {error.strerror}") from None
        finally:
            os.close(here)
        about = os.fstat(found)
        if not stat.S_ISREG(about.st_mode) or (size is not None and about.st_size != size):
            os.close(found)
            why = f"has {about.st_size} bytes instead of {size}" if stat.S_ISREG(about.st_mode) else "is no plain file"
            raise bad_bundle(self.name, f"`{path}` {why}")
        return found


def check_hashes(reader: Reader, contents: Iterable[Content], follow: Follow) -> None:
    """Reads every byte. OperationError naming the first file that is not what the index says."""
    done = 0
    for content in contents:
        for piece in hashed(reader, content):
            done += len(piece)
            follow(done)


def hashed(reader: Reader, content: Content) -> Iterator[bytes]:
    """Its bytes; after the last one OperationError where they are not what the index says."""
    sha = hashlib.sha256()
    with closing(reader.pieces(content)) as pieces:  # type: ignore[type-var]
        for piece in pieces:
            sha.update(piece)
            yield piece
    if sha.hexdigest() != content.sha256:
        message = f"`{reader.place(content)}` is not what the bundle's index says: its SHA-256 is another one"
        hint = "copy it again from where the bundle was made; it was damaged, or somebody changed it"
        raise OperationError(Diagnostic("bundle-tampered", message, hint=hint))


def read_whole(reader: Reader, content: Content, most: int) -> bytes:
    """A small file of the bundle."""
    if content.size > most:
        raise bad_bundle(reader.name, f"`{content.path}` is longer than {most} bytes")
    return b"".join(hashed(reader, content))


def unreadable(path: str, error: OSError) -> OperationError:
    message = f"`{path}` cannot be read: {error.strerror or error}"
    return OperationError(Diagnostic("cannot-read", message, hint="see that the disk is there, and try again"))
