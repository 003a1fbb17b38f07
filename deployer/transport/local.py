"""`connection: local`: this machine as a host, without SSH."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from deployer.errors import Diagnostic, HostError
from deployer.transport import process
from deployer.transport.base import Completed
from deployer.transport.engine import EngineDoor
from deployer.transport.failures import command_failed, command_timeout, sudo_denied, sudo_refusal
from deployer.transport.files import write_file
from deployer.transport.quoting import with_become
from deployer.transport.sdk import SdkClient
from deployer.transport.streams import SocketPipe, Stream, StreamConnection

if TYPE_CHECKING:
    import docker

    from deployer.spec.language import Host


class LocalTransport:
    def __init__(self, name: str, host: Host) -> None:
        self.name = name
        self.host = host
        self._door = EngineDoor(self, self._engine_socket, lambda argv, timeout: process.ProcessDial(self._argv(argv)))
        self._sdk = SdkClient(self._door)

    def connect(self) -> None:
        pass

    def _argv(self, argv: Sequence[str]) -> list[str]:
        return with_become(argv, self.host.become)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        command = self._argv(argv)
        try:
            done = process.run(command, stdin, timeout)
        except process.Overdue as error:
            raise command_timeout(self.name, argv[0], timeout, error.output) from None
        except OSError as error:
            return missing_command(error, command)
        refused = sudo_refusal(done.stderr) if self.host.become and done.exit_code else None
        if refused:
            raise sudo_denied(self.name, refused)
        return done

    def stream(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float
    ) -> AbstractContextManager[Iterator[bytes]]:
        return self._streamed(argv, stdin, timeout)

    @contextlib.contextmanager
    def _streamed(self, argv: Sequence[str], stdin: bytes, timeout: float) -> Iterator[Iterator[bytes]]:
        pipe = subprocess.PIPE
        try:
            running = process.start(self._argv(argv), stdin=pipe, stdout=pipe, stderr=pipe)
        except OSError as error:
            why = f"host `{self.name}`: `{argv[0]}` cannot be run: {error.strerror}"
            raise HostError(Diagnostic("command-failed", why, host=self.name)) from error
        try:
            process.feed_beside(running, stdin)
            yield self._chunks(running, argv[0], timeout)
        finally:
            process.kill(running)

    def _chunks(self, running: subprocess.Popen[bytes], argv0: str, timeout: float) -> Iterator[bytes]:
        errors = process.Output(process.STDERR_CAP)
        try:
            yield from process.chunks_of(running.stdout, running.stderr, time.monotonic() + timeout, errors)
            code = running.wait(process.LINGER)
        except TimeoutError:
            raise command_timeout(self.name, argv0, timeout, bytes(errors)) from None
        except subprocess.TimeoutExpired:
            return
        if code != 0:
            raise command_failed(self.name, argv0, code, bytes(errors))

    def put(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        write_file(self, path, data, mode)

    def engine(self) -> http.client.HTTPConnection:
        return self._door.connection()

    @property
    def dials(self) -> bool:
        return False  # of its own commands there is no such limit

    def docker(self) -> docker.APIClient:
        return self._sdk.client()

    def _engine_socket(self, timeout: float) -> Stream:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(self.host.docker.socket)
        except TimeoutError:
            sock.close()
            raise
        except OSError:
            sock.close()
            self._door.explain()
        return Stream(SocketPipe(sock))

    def http(self, address: str, port: int, *, timeout: float) -> http.client.HTTPConnection:
        return StreamConnection(lambda limit: tcp(address, port, limit), address, port, timeout)

    def close(self) -> None:
        self._sdk.close()


def tcp(address: str, port: int, timeout: float | None) -> Stream:
    sock = socket.create_connection((address.strip("[]"), port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Stream(SocketPipe(sock))


def missing_command(error: OSError, command: Sequence[str]) -> Completed:
    """As a shell answers: 127 for a command that is not there, 126 for one that may not be run."""
    code = 127 if isinstance(error, FileNotFoundError) else 126
    return Completed(code, b"", f"{command[0]}: {error.strerror}\n".encode())
