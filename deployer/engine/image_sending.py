"""Tars of images on their way to a host's Docker: how far they are, and what Docker says of them to its last word.
Knows no registry."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal, broken_by, engine_lost
from deployer.docker.loadtar import Load, WholeLoad, padding
from deployer.engine.context import Site, failed
from deployer.engine.streams import Ended, Pieces, engine_upload
from deployer.errors import HostError, OperationError
from deployer.images.fetching import ImageSource

STALLED_AFTER = 600.0  # seconds without a word from Docker while it unpacks
EVERY = 0.25  # seconds between two reports
PIECE = 1 << 18


@dataclass(slots=True)
class Follower:
    """Tells of bytes, of `total`; ends what it follows where the user asks to stop."""

    site: Site
    total: int
    note: str
    said: float = 0.0

    def __call__(self, done: int) -> None:
        self.site.watch.pause(0)
        now = self.site.context.clock()
        if now - self.said >= EVERY:
            self.said = now
            self.site.watch.progress(done, self.total, self.note)


@dataclass(slots=True)
class Sending:
    """The tars of one image on their way. `done`: bytes of layers that went, of `total`."""

    site: Site
    source: ImageSource
    total: int
    follow: Follower
    done: int = 0

    def send(self, load: Load | WholeLoad) -> None:
        site = self.site
        try:
            with engine_upload(site.transport, "/images/load?quiet=0", load.size, self._body(load)) as pieces:
                self._hear(pieces)
        except Refusal as refusal:
            raise self._refused(refusal.text) from None
        except (OSError, http.client.HTTPException) as error:
            raise engine_lost(site.host, broken_by(error)) from None

    def _body(self, load: Load | WholeLoad) -> Iterator[bytes]:
        for part in load.parts():
            if isinstance(part, bytes):
                yield part
                continue
            with self.source.open(part) as file:
                left = part.size
                while left and (piece := file.read(min(PIECE, left))):
                    left -= len(piece)
                    yield piece
                    self._count(len(piece))
            if left:
                raise failed("wrong-digest", f"`{part.digest}` is shorter than it was", "apply again")
            yield padding(part)

    def _count(self, more: int) -> None:
        self.done += more
        self.follow(self.done)

    def _hear(self, pieces: Pieces) -> None:
        """Docker's words while it unpacks, to the last."""
        clock = self.site.context.clock
        moved = clock()
        while True:
            self.site.watch.pause(0)
            try:
                line = pieces.next(1.0)
            except Ended as end:
                if isinstance(end.error, HostError):
                    raise end.error from None
                if end.error is not None:
                    raise engine_lost(self.site.host, broken_by(end.error)) from None
                return
            if line is not None:
                moved = clock()
                if (refusal := _refusal(line)) is not None:
                    raise self._refused(refusal)
            self.site.watch.progress(self.done, self.total, "Docker unpacks it")
            if clock() - moved > STALLED_AFTER:
                why = f"Docker says nothing for {STALLED_AFTER / 60:g} minutes while it unpacks an image"
                raise failed(
                    "load-stalled", why, "look at the host's disk and `journalctl -u docker`, then apply again"
                )

    def _refused(self, words: str) -> OperationError:
        clean = self.site.words(words)
        if "no space left" in clean:
            hint = (
                "free space on the host: `docker system df` shows what Docker keeps, then apply: it goes on from there"
            )
            return failed("disk-full", "no space left on the host's disk", hint, (clean,))
        return failed("load-failed", "Docker does not take the image", "see what it says", (clean,))


def _refusal(line: bytes) -> str | None:
    """An error, as Docker says it: with containerd's image store one of unpacking is told like any other progress
    (moby: daemon/containerd/image_exporter.go)."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    if "error" in found or "errorDetail" in found:
        return str(found.get("error") or found.get("errorDetail"))
    said = str(found.get("stream", ""))
    return said if said.startswith("Error unpacking image ") else None
