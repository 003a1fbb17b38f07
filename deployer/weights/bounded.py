"""Bounds in time and size for what a server answers, however slowly or endlessly it does so. Knows no protocol."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

LONGEST = 300.0  # seconds for one answer, its headers included
Found = TypeVar("Found")


class TooLongError(OSError):
    """An answer is not complete after all this time."""


class TooLargeError(OSError):
    """An answer goes on behind all that anybody would say."""


def within(seconds: float, call: Callable[[], Found]) -> Found:
    """What the call gives or raises; TooLongError where it does neither in time, and is left to itself. Timeouts of
    sockets begin anew with each byte."""
    found: list[Found] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            found.append(call())
        except BaseException as error:
            raised.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(seconds)
    if raised:
        raise raised[0]
    if not found:
        raise TooLongError(f"the answer takes longer than {seconds:.0f} s")
    return found[0]


def all_of(pieces: Iterable[bytes], most: int, seconds: float = LONGEST) -> bytes:
    """The whole of an answer, of at most so many bytes. TooLargeError, TooLongError."""
    data, deadline = bytearray(), time.monotonic() + seconds
    for piece in pieces:
        data += piece
        if len(data) > most:
            raise TooLargeError(f"the answer is longer than {most} bytes")
        if time.monotonic() > deadline:
            raise TooLongError(f"the answer takes longer than {seconds:.0f} s")
    return bytes(data)
