"""Processes on the controller: bounded in time and output, ended as a group. The transports' only way to start any."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from typing import IO

from deployer.dataclass import dataclass
from deployer.transport.base import Completed
from deployer.transport.streams import SocketPipe, Stream

CAP = 32 * 1024 * 1024  # bytes kept of each of stdout and stderr
STDERR_CAP = 65536  # of a stream
CHUNK = 65536
LINGER = 1.0  # seconds for a background process to let go of the output after the command ended


@dataclass(slots=True)
class Output:
    """What was read, cut at `cap` bytes; the rest is thrown away."""

    cap: int = CAP
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, data: bytes) -> None:
        kept = data[: self.cap - self.size]
        if kept:
            self.parts.append(kept)
            self.size += len(kept)

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)


def start(
    argv: Sequence[str],
    *,
    stdin: int,
    stdout: int,
    stderr: int,
) -> subprocess.Popen[bytes]:
    """A process in a session of its own, so that Ctrl-C stays ours and its children can be ended with it."""
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.Popen(
        argv, start_new_session=True, env=environment, bufsize=0, stdin=stdin, stdout=stdout, stderr=stderr
    )


def end_group(process: subprocess.Popen[bytes], wait: float = 5.0) -> None:
    """Ends the process, if it runs, and all it started; a `sudo` that runs as root only by its closed pipes."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and closes its pipes."""
    end_group(process)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


class Overdue(Exception):
    """The process did not finish in time; `output` is what it said on stderr."""

    def __init__(self, output: bytes) -> None:
        super().__init__("overdue")
        self.output = output


def run(argv: Sequence[str], stdin: bytes, timeout: float) -> Completed:
    """Overdue after `timeout` seconds, OSError when it cannot be started."""
    pipe = subprocess.PIPE
    process = start(argv, stdin=pipe, stdout=pipe, stderr=pipe)
    out, err = Output(), Output()
    try:
        pump(process, stdin, (out, err), time.monotonic() + timeout)
        return Completed(process.wait(), bytes(out), bytes(err))
    except TimeoutError:
        raise Overdue(bytes(err)) from None
    finally:
        kill(process)


def pump(process: subprocess.Popen[bytes], stdin: bytes, outputs: tuple[Output, Output], deadline: float) -> None:
    """Feeds and reads a process until it ended and its output with it. TimeoutError at the deadline."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    left = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        for stream, output in zip((process.stdout, process.stderr), outputs, strict=True):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ, output)
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        ended: float | None = None
        while selector.get_map():
            now = time.monotonic()
            if now > deadline:
                raise TimeoutError
            if ended is None and process.poll() is not None:
                ended = now
            if ended is not None and now > ended + LINGER:
                return
            for key, _ in selector.select(min(0.2, deadline - now) if ended is None else 0.05):
                if key.fileobj is process.stdin:
                    left = feed(process.stdin, left)
                    if not left:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                elif not drain(key.fd, key.data):
                    selector.unregister(key.fileobj)
    process.wait(max(0.0, deadline - time.monotonic()))


def feed(stdin: IO[bytes], left: memoryview) -> memoryview:
    try:
        return left[os.write(stdin.fileno(), left[:CHUNK]) :]
    except BlockingIOError:
        return left
    except OSError:  # it closed its stdin or ended: not an error, its exit code tells
        return memoryview(b"")


def feed_beside(process: subprocess.Popen[bytes], stdin: bytes) -> None:
    """Feeds a process by a thread of its own, which ends when all was read or the process is gone."""

    def write() -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            process.stdin.write(stdin)
        with contextlib.suppress(OSError, ValueError):
            process.stdin.close()

    threading.Thread(target=write, name="stdin", daemon=True).start()


def drain(descriptor: int, output: Output) -> bool:
    """Reads what is there; False at the end."""
    try:
        data = os.read(descriptor, CHUNK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    output.add(data)
    return bool(data)


def chunks_of(stdout: IO[bytes] | None, stderr: IO[bytes] | None, deadline: float, errors: Output) -> Iterator[bytes]:
    """stdout as it comes, until it ends; stderr meanwhile goes to `errors`. TimeoutError at the deadline."""
    with selectors.DefaultSelector() as selector:
        for stream in (stdout, stderr):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ)
        wanted = stdout or stderr
        while wanted in {key.fileobj for key in selector.get_map().values()}:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in selector.select(min(left, 1.0)):
                output = Output() if key.fileobj is stdout else errors
                if not drain(key.fd, output):
                    selector.unregister(key.fileobj)
                elif key.fileobj is stdout and output.size:
                    yield bytes(output)


class ProcessDial:
    """A command whose stdin and stdout are one end of a socket pair; the other end is the stream."""

    def __init__(self, argv: Sequence[str], on_close: Callable[[], None] | None = None) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = start(argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.stream = Stream(ProcessPipe(ours, self._process, on_close))

    def last_words(self) -> tuple[int | None, bytes]:
        """Exit code and stderr of a command that hung up, after a moment."""
        words = Output(STDERR_CAP)
        with contextlib.suppress(TimeoutError, subprocess.TimeoutExpired):
            for _ in chunks_of(None, self._process.stderr, time.monotonic() + 2.0, words):
                pass
            return self._process.wait(2.0), bytes(words)
        return None, bytes(words)


class ProcessPipe(SocketPipe):
    """A socket that ends its process when it is closed."""

    def __init__(
        self, sock: socket.socket, process: subprocess.Popen[bytes], on_close: Callable[[], None] | None
    ) -> None:
        super().__init__(sock)
        self._process = process
        self._on_close = on_close

    def close(self) -> None:
        super().close()
        kill(self._process)
        release, self._on_close = self._on_close, None
        if release is not None:
            release()
