"""Reads a file of a model on the controller, from a byte on: off its own disk, or from a server. Writes nothing."""

from __future__ import annotations

import http.client
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from deployer.values.weights import WeightFile
from deployer.weights.access import TIMEOUT, Way, bearer
from deployer.weights.rest import opener

READ = 1 << 18  # bytes at once
LATEST = 2.0  # seconds after which a chunk is given as it is: what a slow source gave is soon where it belongs


def pieces_of(file: WeightFile, first: int, way: Way, most: int) -> Generator[bytes, None, None]:
    """The content from byte `first` on, in chunks of at most so many bytes. OSError or HTTPException where its
    source breaks off."""
    with opened_at(first, way) as read:
        left = file.size - first
        while left > 0 and (piece := piece_of(read, min(most, left))):
            left -= len(piece)
            yield piece


@contextmanager
def opened_at(first: int, way: Way) -> Iterator[Callable[[int], bytes]]:
    """Reads a file of the controller's disk, or what a server has, from byte `first` on. OSError or HTTPException."""
    if way.url.startswith("/"):
        with Path(way.url).open("rb") as content:
            content.seek(first)
            yield content.read
        return
    headers = {"Range": f"bytes={first}-"} if first else {}
    request = urllib.request.Request(way.url, headers={"User-Agent": "deployer", **headers, **bearer(way.token)})
    with opener(way.ca).open(request, timeout=TIMEOUT) as response:
        if first and response.status != 206:
            _skip(response.read, first)
        yield response.read1


def _skip(read: Callable[[int], bytes], count: int) -> None:
    while count > 0 and (gone := read(min(count, READ))):
        count -= len(gone)


def piece_of(read: Callable[[int], bytes], most: int) -> bytes:
    """What comes soon, and what came before its source broke off; nothing at the end."""
    piece, latest = bytearray(), time.monotonic() + LATEST
    try:
        while len(piece) < most and time.monotonic() < latest and (part := read(min(most - len(piece), READ))):
            piece += part
    except (OSError, http.client.HTTPException):
        if not piece:
            raise
    return bytes(piece)
