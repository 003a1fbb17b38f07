"""Reads a long answer of the engine piece by piece, with a bound on every wait and on every piece."""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from deployer.docker.calls import Refusal
from deployer.transport.base import Transport

MAX_LINE = 1 << 20  # bytes; longer lines are cut into several
MAX_AHEAD = 1000  # pieces read ahead of the reader
MAX_REFUSAL = 65536
Read = Callable[[http.client.HTTPResponse], bytes]  # the next piece; b"" at the end


class Ended(Exception):
    """After the last piece; `error` is what broke the connection where it broke first."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        super().__init__("ended")


def read_line(response: http.client.HTTPResponse) -> bytes:
    return response.readline(MAX_LINE)


class Pieces:
    """Pieces as they come, read by a thread of its own: a read that hangs is left by closing the connection."""

    def __init__(self, response: http.client.HTTPResponse, read: Read) -> None:
        self._queue: queue.Queue[bytes | Ended] = queue.Queue(MAX_AHEAD)
        self._response, self._read_one = response, read
        self._left = threading.Event()
        threading.Thread(target=self._read, name="engine stream", daemon=True).start()

    def next(self, seconds: float) -> bytes | None:
        """The next piece, None when none came in time; raises Ended after the last."""
        try:
            piece = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(piece, Ended):
            raise piece
        return piece

    def leave(self) -> None:
        self._left.set()

    def _read(self) -> None:
        broken = None
        try:
            while piece := self._read_one(self._response):
                if not self._offer(piece):
                    return
        except Exception as error:  # whatever a connection can die of, also while it is being closed
            broken = error
        self._offer(Ended(broken))

    def _offer(self, piece: bytes | Ended) -> bool:
        while not self._left.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(piece, timeout=1.0)
                return True
        return False


@contextmanager
def engine_stream(
    transport: Transport,
    method: str,
    path: str,
    headers: Mapping[str, str],
    read: Read = read_line,
    body: bytes | None = None,
) -> Iterator[Pieces]:
    """The answer to one request on a connection of its own; leaving the context ends the request.

    Raises Refusal for an answer that is none, HostError or OSError when there is no answer.
    """
    connection = transport.engine()
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        with _answer(connection, read) as pieces:
            yield pieces
    finally:
        connection.close()


@contextmanager
def engine_upload(transport: Transport, path: str, size: int, body: Iterable[bytes]) -> Iterator[Pieces]:
    """The same for a request that brings `size` bytes along. An engine that refuses before it has them all is heard."""
    connection = transport.engine()
    try:
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(size)}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer, or its absence, says why
            connection.request("POST", path, body=body, headers=headers)
        with _answer(connection, read_line) as pieces:
            yield pieces
    finally:
        connection.close()


@contextmanager
def _answer(connection: http.client.HTTPConnection, read: Read) -> Iterator[Pieces]:
    sock = connection.sock
    response = connection.getresponse()
    if response.status != 200:
        raise Refusal(response.status, response.read(MAX_REFUSAL).decode("utf-8", "replace"))
    sock.settimeout(None)  # whoever waits for the pieces bounds the wait
    pieces = Pieces(response, read)
    try:
        yield pieces
    finally:
        pieces.leave()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
