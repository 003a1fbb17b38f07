"""Blobs of images in an OCI layout on the controller: whole under their digest, or still arriving in a file beside.

Whatever is killed, the next fetch goes on from the byte where it ended; two fetches of one blob wait for each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from deployer.dataclass import dataclass
from deployer.errors import OperationError
from deployer.formats.oci import LAYOUT, digest_of, render_index, render_manifest
from deployer.images.access import failure
from deployer.values.image_content import Blob, ImageContent

Follow = Callable[[int], object]  # bytes of a blob that are there; may raise, to end it
Opened = Callable[[int], AbstractContextManager[tuple[int, Iterator[bytes]]]]  # from a byte on: where it begins, pieces
TRIES = 6  # in a row without a byte
PIECE = 1 << 20
EVERY = 0.25  # seconds between two looks at what somebody else fetches


def quiet(count: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class BlobStore:
    """A folder that is an OCI layout once its index is written. `pause` waits between tries, seconds."""

    folder: Path
    pause: Callable[[float], object] = time.sleep

    def path(self, blob: Blob) -> Path:
        return self.folder / "blobs" / "sha256" / blob.hex

    def has(self, blob: Blob) -> bool:
        """It got its name when its digest was right, so its size is enough to know it by."""
        try:
            return self.path(blob).stat().st_size == blob.size
        except OSError:
            return False

    def open(self, blob: Blob) -> BinaryIO:
        return self.path(blob).open("rb")

    def put(self, data: bytes, media_type: str = "") -> Blob:
        blob = Blob(digest_of(data), len(data), media_type)
        if not self.has(blob):
            with self._writing(), self._arriving(blob, quiet) as file:
                file.truncate(0)
                file.write(data)
                self._finish(blob, file)
        return blob

    def fetch(self, blob: Blob, opened: Opened, follow: Follow = quiet) -> int:
        """The blob is there whole afterwards, as one used now; returns the bytes that came. OperationError."""
        if self.has(blob):
            with contextlib.suppress(OSError):  # a disk that may only be read keeps what it has
                os.utime(self.path(blob))
            return 0
        with self._writing(), self._arriving(blob, follow) as file:
            return 0 if self.has(blob) else self._arrive(blob, opened, file, follow)

    def prune(self, before: float) -> None:
        """Takes away what was last used before that time (seconds since 1970), whole or not. What cannot be taken away
        stays."""
        for path in (self.folder / "blobs" / "sha256").glob("*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def write_index(self, images: Mapping[str, Iterable[ImageContent]]) -> None:
        """Makes the folder an OCI layout of these images, by their names; every blob of theirs is there."""
        manifests = {name: [self._named(content) for content in contents] for name, contents in images.items()}
        with self._writing():
            for name, data in (("index.json", render_index(manifests)), ("oci-layout", LAYOUT)):
                beside = self.folder / f".{name}.new"
                beside.write_bytes(data)
                beside.replace(self.folder / name)

    def _named(self, content: ImageContent) -> tuple[Blob, str]:
        return content.manifest or self.put(render_manifest(content)), content.platform

    # --- one blob

    @contextmanager
    def _arriving(self, blob: Blob, follow: Follow) -> Iterator[Any]:
        """The file that it is written to, for nobody else meanwhile; follows what somebody else writes to it."""
        part = self.path(blob).with_suffix(".part")
        part.parent.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            with os.fdopen(descriptor, "r+b") as file:
                while not _locked(file):
                    follow(os.fstat(descriptor).st_size)
                    self.pause(EVERY)
                with contextlib.suppress(FileNotFoundError):
                    if os.fstat(descriptor).st_ino == part.stat().st_ino:
                        yield file
                        return
                if self.has(blob):  # whoever had it renamed it meanwhile
                    yield file
                    return

    def _arrive(self, blob: Blob, opened: Opened, file: BinaryIO, follow: Follow) -> int:
        hashed, have = hashlib.sha256(), 0
        while have < blob.size and (piece := file.read(min(PIECE, blob.size - have))):
            hashed.update(piece)
            have += len(piece)
        first, silent = have, 0
        while have < blob.size:
            before, cause = have, "it ends too early"
            try:
                with opened(have) as (begin, pieces):
                    for piece in _from(pieces, have - begin, blob.size - have):
                        file.write(piece)
                        hashed.update(piece)
                        have += len(piece)
                        follow(have)
            except ConnectionError as error:
                cause = str(error)
            except OperationError as error:
                if error.diagnostic.code not in ("registry-unreachable", "registry-failed", "registry-busy"):
                    raise
                cause = error.diagnostic.evidence[0] if error.diagnostic.evidence else error.diagnostic.message
            silent = silent + 1 if have == before else 0
            if silent >= TRIES:
                message = f"`{blob.digest}` does not arrive: {have} of {blob.size} bytes"
                raise failure("registry-unreachable", message, "try again: it goes on from there", (cause,))
            if have < blob.size:
                follow(have)
                self.pause(min(30.0, 0.5 * 2.0**silent))
        if f"sha256:{hashed.hexdigest()}" != blob.digest:
            file.truncate(0)
            raise wrong_digest(blob)
        self._finish(blob, file)
        return blob.size - first

    def _finish(self, blob: Blob, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())
        part = self.path(blob).with_suffix(".part")
        part.replace(self.path(blob))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """OperationError where the disk does not take it."""
        try:
            yield
        except OSError as error:
            message = f"images cannot be kept under `{self.folder}` on this machine: {error.strerror or error}"
            hint = "free space there, or set XDG_CACHE_HOME to a larger disk"
            raise failure("cannot-write", message, hint) from None


def wrong_digest(blob: Blob) -> OperationError:
    hint = "take it from another place: what comes from there is not what it says it is"
    return failure("wrong-digest", f"what came as `{blob.digest}` is something else", hint)


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _from(pieces: Iterator[bytes], skipped: int, most: int) -> Iterator[bytes]:
    """What comes after the first `skipped` bytes, at most `most` of it."""
    for piece in pieces:
        kept = piece[skipped:][:most]
        skipped = max(0, skipped - len(piece))
        most -= len(kept)
        if kept:
            yield kept
        if most <= 0:
            return
