"""Files of models brought to the controller's disk, by their SHA-256: from where they are, going on where it broke off.

A file has its name only once its hash was seen to be right; until then it ends in `.part`.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
from collections.abc import Callable, Mapping
from pathlib import Path

from deployer.dataclass import dataclass
from deployer.errors import OperationError
from deployer.formats.text import one_line
from deployer.values.secrets import Secret
from deployer.values.weights import PART, Place, WeightFile
from deployer.weights.access import SOURCE_HINT, failure, unreachable, way_to
from deployer.weights.bundles.store import writing
from deployer.weights.reading import opened_at, piece_of

PIECE = 1 << 20  # bytes: what a kill can cost
TRIES = 5  # in a row without a byte
PAUSE = 1.0  # seconds before another try, more each time
FINAL = (400, 401, 403, 404, 410)  # statuses that another try does not change


@dataclass(frozen=True, slots=True)
class Collector:
    """`folder`: of contents by their SHA-256. `at_hand`: others of this machine. `tokens`, `cas`: by hub."""

    folder: Path
    at_hand: Callable[[str], Path | None]
    tokens: Mapping[str, Secret]
    cas: Mapping[str, str]

    def collect(self, file: WeightFile, hub: str, follow: Callable[[int], object]) -> None:
        """The file is there afterwards, whole. OperationError."""
        assert file.sha256 is not None, "the lock holds the hash of every file"
        target = self.folder / file.sha256
        if target.exists():
            follow(file.size)
            return
        part = target.with_name(file.sha256 + PART)
        known = self.at_hand(file.sha256)
        places = [Place(file.url, hub), *file.others]
        if known is not None:
            places.insert(0, Place(str(known), ""))
        for number, place in enumerate(places, 1):
            try:
                self._bring(file, place, part, follow)
                with writing(target):
                    _settle(file, part, target)
                return
            except OperationError:
                if number == len(places):
                    raise

    def _bring(self, file: WeightFile, place: Place, part: Path, follow: Callable[[int], object]) -> None:
        silent = 0
        if not file.size:
            _append(part, b"")
        while (have := _size(part, file.size)) < file.size:
            try:
                with opened_at(have, way_to(place, self.tokens, self.cas)) as read:
                    now = have
                    while now < file.size and (piece := piece_of(read, min(PIECE, file.size - now))):
                        _append(part, piece)
                        now += len(piece)
                        follow(now)
            except (OSError, http.client.HTTPException) as error:
                is_final = isinstance(error, urllib.error.HTTPError) and error.code in FINAL
                silent = silent + 1 if _size(part, file.size) == have else 0
                if silent >= TRIES or is_final or place.url.startswith("/"):
                    raise unreachable(file.path, one_line(place.url, 100), error, place.hub) from None
                time.sleep(PAUSE * silent)
                continue
            silent = silent + 1 if _size(part, file.size) == have else 0
            if silent >= TRIES:
                message = f"`{one_line(file.path, 100)}` ends after {have} of {file.size} bytes"
                raise failure("wrong-size", message, "run it again: it goes on from there; or try another mirror")


def _settle(file: WeightFile, part: Path, target: Path) -> None:
    with part.open("r+b") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
        os.fsync(content.fileno())
    if found != file.sha256:
        part.unlink()
        message = f"`{one_line(file.path, 100)}` arrives with other content than deploy.lock says"
        raise failure("wrong-hash", message, "try another mirror, or `deployer lock --upgrade` if that is meant")
    part.rename(target)


def _size(part: Path, most: int) -> int:
    """What is there of it; too much of it is none."""
    try:
        size = part.stat().st_size
    except FileNotFoundError:
        return 0
    if size > most:
        part.unlink()
        return 0
    return size


def _append(part: Path, piece: bytes) -> None:
    with writing(part), part.open("ab") as file:
        file.write(piece)


def hash_of(path: str, follow: Callable[[int], object] = lambda done: None) -> str:
    """SHA-256 of a file of this machine, told how many bytes of it are read. OperationError."""
    sha256, done = hashlib.sha256(), 0
    try:
        with Path(path).open("rb") as content:
            while piece := content.read(PIECE):
                sha256.update(piece)
                done += len(piece)
                follow(done)
        return sha256.hexdigest()
    except OSError as error:
        raise failure("no-such-source", f"`{path}` cannot be read here: {error.strerror}", SOURCE_HINT) from None
