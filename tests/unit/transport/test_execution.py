"""A command whose connection dies: told as lost, whatever paramiko calls it."""

from __future__ import annotations

import threading
import time

import paramiko
import pytest

from deployer.transport.execution import Execution


class Lost(Exception):
    pass


class DyingChannel:
    """Takes `left` bytes, then its connection ends with an error of paramiko's."""

    def __init__(self, left: int, error: Exception) -> None:
        self.left, self.error = left, error
        self.closed = self.eof_received = False
        self.exit_status, self.status_event = -1, threading.Event()
        self.transport = self
        self.sent = b""

    def is_active(self) -> bool:
        return not self.closed

    def send_ready(self) -> bool:
        return True

    def recv_ready(self) -> bool:
        return False

    recv_stderr_ready = exit_status_ready = recv_ready

    def send(self, data: bytes) -> int:
        if len(self.sent) >= self.left:
            self.closed = True
            self.status_event.set()
            raise self.error
        self.sent += data
        return len(data)

    def shutdown_write(self) -> None:
        raise self.error

    close = shutdown_write


@pytest.mark.parametrize("error", [EOFError(), OSError("Socket is closed"), paramiko.SSHException("no sign of life")])
@pytest.mark.parametrize("left", [0, 200_000])
def test_a_connection_that_dies_while_a_command_is_fed_is_lost(error: Exception, left: int) -> None:
    channel = DyingChannel(left, error)
    execution = Execution(channel, Lost, lambda: None)
    with pytest.raises(Lost):
        execution.complete(b"x" * 1_000_000, time.monotonic() + 30)
    assert left <= len(channel.sent) < 1_000_000
    execution.close()
