"""One command on a session channel: feeding it, reading it, ending it. Imported late (paramiko is heavy)."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import paramiko

from deployer.transport.base import Completed
from deployer.transport.process import CAP, CHUNK, LINGER, STDERR_CAP, Output
from deployer.transport.quoting import without_pid
from deployer.transport.session import ChannelPipe, ConnectionGone


class Wake(threading.Event):
    """Set when either of a channel's buffers has news; a buffer that runs empty does not clear it for the other."""

    def clear(self) -> None:
        pass

    def wait_anew(self, timeout: float) -> None:
        self.wait(timeout)
        super().clear()


class Execution:
    """`release` gives the session slot back. Methods raise TimeoutError at their deadline."""

    def __init__(self, channel: Any, lost: Callable[[], BaseException], release: Callable[[], None]) -> None:
        self._channel = channel
        self._lost = lost
        self._release: Callable[[], None] | None = release
        self._wake = Wake()
        self._errors = Output(STDERR_CAP)
        self._finished = False

    def start(self, line: str, timeout: float) -> None:
        """TimeoutError or ConnectionGone. A host that refuses commands altogether counts as gone."""
        self._channel.in_buffer.set_event(self._wake)
        self._channel.in_stderr_buffer.set_event(self._wake)
        timer = threading.Timer(timeout, self._give_up)  # paramiko waits for the answer without a limit
        timer.daemon = True
        timer.start()
        try:
            self._channel.exec_command(line.encode("utf-8", "surrogateescape"))
        except Exception as error:  # whatever paramiko's thread stumbled over comes out here
            if not timer.is_alive():
                raise TimeoutError from error
            raise ConnectionGone(str(error)) from error
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._channel.close()
        self._channel.event.set()  # not done by the close of a channel that lost its connection as the wait began

    @property
    def errors(self) -> bytes:
        """What it said on stderr so far."""
        self._read_errors(self._errors)
        return without_pid(bytes(self._errors))[1]

    @property
    def runs_on_as(self) -> int | None:
        """The process id of a command that was left before its end."""
        if self._finished or not self._channel.transport.is_active():
            return None
        self._read_errors(self._errors)
        return without_pid(bytes(self._errors))[0]

    def _read_errors(self, output: Output) -> None:
        while self._channel.recv_stderr_ready():
            output.add(self._channel.recv_stderr(CHUNK))

    def complete(self, stdin: bytes, deadline: float) -> Completed:
        """Feeds and reads the command to its end."""
        out, self._errors = Output(CAP), Output(CAP)
        left = self._feed(memoryview(stdin))
        ended: float | None = None
        while not self._at_end():
            while self._channel.recv_ready():
                out.add(self._channel.recv(CHUNK))
            self._read_errors(self._errors)
            left = self._feed(left) if left is not None else None
            now = time.monotonic()
            if now > deadline:
                raise TimeoutError
            if self._channel.exit_status_ready():
                ended = ended or now
                if now > ended + LINGER:
                    break
            pause = 0.05 if left is not None or ended else 0.5
            self._wake.wait_anew(min(pause, max(0.0, deadline - now)))
        while self._channel.recv_ready():
            out.add(self._channel.recv(CHUNK))
        self._read_errors(self._errors)
        code = self.exit_code(max(0.0, min(5.0, deadline - time.monotonic())))
        if code is None:
            raise self._lost()
        self._finished = True
        return Completed(code, bytes(out), without_pid(bytes(self._errors))[1])

    def _at_end(self) -> bool:
        channel = self._channel
        over = channel.eof_received or channel.closed
        return bool(over) and not channel.recv_ready() and not channel.recv_stderr_ready()

    def _feed(self, left: memoryview | None) -> memoryview | None:
        """Sends what fits now. None when all was sent, and the command was told so."""
        while left and self._channel.send_ready():
            try:
                sent = self._channel.send(bytes(left[:CHUNK]))
            except (OSError, EOFError, paramiko.SSHException):  # the connection died: its end says so
                return None
            if not sent:
                return None
            left = left[sent:]
        if left:
            return left
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.shutdown_write()
        return None

    def chunks(self, stdin: bytes, deadline: float) -> Iterator[bytes]:
        """Feeds the command, and gives its stdout as it comes, until it ends."""
        unsent = self._feed(memoryview(stdin))
        while True:
            while self._channel.recv_ready():
                yield self._channel.recv(CHUNK)
            self._read_errors(self._errors)
            unsent = self._feed(unsent) if unsent is not None else None
            if self._at_end():
                break
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._wake.wait_anew(min(left, 0.5 if unsent is None else 0.05))
        if not self._channel.transport.is_active():
            raise self._lost()
        self._finished = True

    def exit_code(self, timeout: float) -> int | None:
        """None when it did not come in time; 128 + n is not told apart from a signal's death (-1 becomes 255)."""
        if not self._channel.status_event.wait(timeout):
            return None
        if not self._channel.transport.is_active() and self._channel.exit_status < 0:
            return None
        code = int(self._channel.exit_status)
        return code if code >= 0 else 255

    def end_within(self, timeout: float) -> None:
        """Waits for the command's end, a moment, and closes."""
        self._channel.status_event.wait(timeout)
        self.close()

    def pipe(self, on_close: Callable[[], None]) -> ChannelPipe:
        """The command's stdin and stdout as a pipe; its close ends the command."""

        def close() -> None:
            self.close()
            on_close()

        return ChannelPipe(self._channel, self._lost, close)

    def close(self) -> None:
        """Closes the channel and gives the slot back."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()
        release, self._release = self._release, None
        if release is not None:
            release()
