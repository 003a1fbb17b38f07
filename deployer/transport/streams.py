"""Socket-like streams and HTTP connections over them. Knows nothing of SSH, Docker or processes."""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import select
import socket
import threading
from collections.abc import Callable
from typing import Any, Protocol

BUFFER = 65536


class Pipe(Protocol):
    """What a Stream is made on: a socket, or a channel of an SSH connection."""

    def hung_up(self) -> bool: ...
    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: Any, /) -> None: ...
    def settimeout(self, timeout: float | None, /) -> None: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...
    def fileno(self) -> int: ...


class SocketPipe:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.recv = sock.recv
        self.sendall = sock.sendall
        self.settimeout = sock.settimeout
        self.shutdown = sock.shutdown
        self.fileno = sock.fileno

    def hung_up(self) -> bool:
        """Asked of an idle connection: anything there to read is the end."""
        poll = select.poll()
        try:
            poll.register(self.sock, select.POLLIN)
        except (OSError, ValueError):
            return True
        return bool(poll.poll(0))

    def close(self) -> None:
        self.sock.close()


class Stream:
    """A pipe with the habits of a socket: it closes when its last file is closed, `shutdown` wakes all readers.

    `on_silence` is asked why, when the other end hangs up without ever having said a word; it raises, or returns.
    """

    def __init__(self, pipe: Pipe, on_silence: Callable[[], None] | None = None) -> None:
        self.pipe = pipe
        self.ended = False  # the other end hung up
        self.on_silence = on_silence
        self._timeout: float | None = None
        self._files = 0
        self._wants_close = False
        self._lock = threading.Lock()

    def hung_up(self) -> bool:
        """Can an idle connection not be used again?"""
        return self.ended or self.pipe.hung_up()

    def _silent(self) -> None:
        self.ended = True
        why, self.on_silence = self.on_silence, None
        if why is not None:
            try:
                why()
            except BaseException:
                self._close_pipe()
                raise

    def recv(self, size: int, flags: int = 0) -> bytes:
        try:
            data = self.pipe.recv(size)
        except (ConnectionError, EOFError):
            self._silent()
            raise
        if data:
            self.on_silence = None
        else:
            self._silent()
        return data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        view = memoryview(buffer)
        data = self.recv(size or len(view))
        view[: len(data)] = data
        return len(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        try:
            with memoryview(data) as view:
                for start in range(0, len(view), BUFFER):
                    self.pipe.sendall(bytes(view[start : start + BUFFER]))
        except TimeoutError:
            raise
        except OSError:
            self._silent()
            raise
        except EOFError:  # paramiko's word for a connection that died while it was written to
            self._silent()
            raise BrokenPipeError(errno.EPIPE, "the connection ended") from None

    def send(self, data: Any, flags: int = 0) -> int:
        self.sendall(data)
        return len(data)

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout
        self.pipe.settimeout(timeout)

    def gettimeout(self) -> float | None:
        return self._timeout

    def setblocking(self, blocking: bool) -> None:
        self.settimeout(None if blocking else 0.0)

    def setsockopt(self, *args: Any) -> None:
        """Options belong to the connection below; urllib3 sets some on every socket it is given."""

    def fileno(self) -> int:
        return self.pipe.fileno()

    def shutdown(self, how: int) -> None:
        with contextlib.suppress(OSError, EOFError):
            self.pipe.shutdown(how)
        if how == socket.SHUT_RDWR:
            self._close_pipe()

    def makefile(self, mode: str = "r", buffering: int | None = None, **kwargs: Any) -> Any:
        with self._lock:
            self._files += 1
        raw = StreamFile(self)
        if buffering == 0:
            return raw
        return io.BufferedWriter(raw, BUFFER) if "w" in mode else io.BufferedReader(raw, BUFFER)

    def close(self) -> None:
        with self._lock:
            self._wants_close = True
            last = self._files == 0
        if last:
            self._close_pipe()

    def release_file(self) -> None:
        with self._lock:
            self._files -= 1
            last = self._files == 0 and self._wants_close
        if last:
            self._close_pipe()

    def _close_pipe(self) -> None:
        self.ended = True
        with contextlib.suppress(OSError, EOFError):
            self.pipe.close()


class StreamFile(io.RawIOBase):
    """The unbuffered file of a Stream; `_sock` is where the Docker SDK looks for the socket to cancel a stream."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._sock = stream

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)

    def write(self, data: Any) -> int:
        self._sock.sendall(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        return self._sock.recv(size)

    def sendall(self, data: Any) -> None:
        self._sock.sendall(data)

    def settimeout(self, timeout: float | None) -> None:
        self._sock.settimeout(timeout)

    def gettimeout(self) -> float | None:
        return self._sock.gettimeout()

    def shutdown(self, how: int) -> None:
        self._sock.shutdown(how)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._sock.release_file()


Opener = Callable[[float | None], Stream]


class StreamConnection(http.client.HTTPConnection):
    """An HTTP connection over whatever `opener` opens; the opener is given the timeout in seconds."""

    def __init__(self, opener: Opener, host: str, port: int | None, timeout: float | None) -> None:
        super().__init__(host, port, timeout=timeout)
        self._opener = opener

    def connect(self) -> None:
        stream = self._opener(self.timeout)
        stream.settimeout(self.timeout)
        self.sock: Any = stream
