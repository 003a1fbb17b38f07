"""`connection: openssh`: everything over the system's ssh client, for what fabric cannot do."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from deployer.transport import process
from deployer.transport.base import Completed, ConnectOptions
from deployer.transport.engine import EngineDoor, NoForwarding, SocketRefused
from deployer.transport.failures import (
    command_failed,
    command_timeout,
    forwarding_refused,
    sessions_refused,
    sudo_denied,
    sudo_refusal,
)
from deployer.transport.files import write_file
from deployer.transport.hops import Hops
from deployer.transport.master import Goal, Master, options_of
from deployer.transport.masterprocess import Running
from deployer.transport.quoting import command_line, kill_line, without_pid
from deployer.transport.sdk import SdkClient
from deployer.transport.slots import PATIENCE, SESSIONS, SLOT_TIMEOUT, Slot, Slots
from deployer.transport.streams import SocketPipe, Stream, StreamConnection

if TYPE_CHECKING:
    import docker

    from deployer.spec.language import Host

SSH_FAILED = 255
REFUSED = b"refused by peer"
KILL_TIMEOUT = 5.0
PROHIBITED = rb"open failed: (administratively prohibited|unknown channel type)"
PING = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"


class OpensshTransport:
    def __init__(self, name: str, host: Host, options: ConnectOptions, hops: Hops) -> None:
        self.name = name
        self.host = host
        address = host.address or name

        def start(ssh: str) -> Running:
            return Running([ssh, *options_of(name, host, options), *hops.way(ssh, name, host)], address)

        self._master = Master(Goal(name, address, start), options)
        self._slots = Slots(SESSIONS - 1)  # the master holds one itself
        self._door = EngineDoor(self, self._engine_socket, self._dial)
        self._sdk = SdkClient(self._door)
        self._proven: Running | None = None

    def connect(self) -> None:
        self._master.running()

    # --- commands

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        deadline = time.monotonic() + timeout
        for pause in (*PATIENCE, None):
            master = self._master.running()
            done = self._with_slot(master, argv, stdin, (deadline, timeout))
            if self._has_begun(master, done.exit_code, done.stderr, last=pause is None):
                break
            time.sleep(pause or 0.0)
        words = without_pid(done.stderr)[1]
        refused = sudo_refusal(words) if self.host.become and done.exit_code else None
        if refused:
            raise sudo_denied(self.name, refused)
        return Completed(done.exit_code, done.stdout, words)

    def _with_slot(self, master: Running, argv: Sequence[str], stdin: bytes, limit: tuple[float, float]) -> Completed:
        """Runs it; waits for others to end where the host allows fewer sessions than was thought."""
        while True:
            with self._session(min(limit[0] - time.monotonic(), SLOT_TIMEOUT)) as slot:
                done = self._run(master, argv, stdin, limit)
                if REFUSED not in done.stderr or not slot.shrink():
                    return done

    def _run(self, master: Running, argv: Sequence[str], stdin: bytes, limit: tuple[float, float]) -> Completed:
        command = master.argv(command_line(argv, self.host.become))
        try:
            return process.run(command, stdin, max(0.1, limit[0] - time.monotonic()))
        except process.Overdue as error:
            pid, words = without_pid(error.output)
            self._kill(master, pid)
            raise command_timeout(self.name, argv[0], limit[1], words) from None

    def _has_begun(self, master: Running, exit_code: int, stderr: bytes, last: bool) -> bool:
        """Did the command run, or ssh fail before it began, and is that worth another try? Raises where it is not."""
        pid, words = without_pid(stderr)
        if exit_code != SSH_FAILED or (pid is not None and not master.is_gone()):
            return True
        if REFUSED in words:
            if last:
                raise sessions_refused(self.name, "all are in use")
        elif pid is not None or last or not master.is_gone():
            raise self._master.lost()
        return False

    @contextlib.contextmanager
    def _session(self, timeout: float) -> Iterator[Slot]:
        slot = Slot(self._slots)
        if not self._slots.acquire(timeout):
            raise sessions_refused(self.name, "none became free in time")
        try:
            yield slot
        finally:
            slot.release()

    def _kill(self, master: Running, pid: int | None) -> None:
        if pid is not None and master.is_alive:
            with contextlib.suppress(process.Overdue):
                process.run(master.argv(kill_line(pid, self.host.become)), b"", KILL_TIMEOUT)

    def stream(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float
    ) -> AbstractContextManager[Iterator[bytes]]:
        return self._streamed(argv, stdin, timeout)

    @contextlib.contextmanager
    def _streamed(self, argv: Sequence[str], stdin: bytes, timeout: float) -> Iterator[Iterator[bytes]]:
        master = self._master.running()
        command = master.argv(command_line(argv, self.host.become))
        errors = process.Output(process.STDERR_CAP)
        with self._session(min(timeout, SLOT_TIMEOUT)):
            pipe = subprocess.PIPE
            running = process.start(command, stdin=pipe, stdout=pipe, stderr=pipe)
            try:
                process.feed_beside(running, stdin)
                yield self._chunks((master, running), argv[0], timeout, errors)
            finally:
                cut_short = running.poll() is None
                process.kill(running)
                if cut_short:
                    self._kill(master, without_pid(bytes(errors))[0])

    def _chunks(
        self, ssh: tuple[Running, subprocess.Popen[bytes]], argv0: str, timeout: float, errors: process.Output
    ) -> Iterator[bytes]:
        master, running = ssh
        try:
            yield from process.chunks_of(running.stdout, running.stderr, time.monotonic() + timeout, errors)
            code = running.wait(process.LINGER)
        except TimeoutError:
            raise command_timeout(self.name, argv0, timeout, without_pid(bytes(errors))[1]) from None
        except subprocess.TimeoutExpired:
            return
        self._has_begun(master, code, bytes(errors), last=True)
        if code != 0:
            raise command_failed(self.name, argv0, code, without_pid(bytes(errors))[1])

    def put(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        write_file(self, path, data, mode)

    # --- Docker

    def engine(self) -> http.client.HTTPConnection:
        return self._door.connection()

    @property
    def dials(self) -> bool:
        return self._door.dials

    def docker(self) -> docker.APIClient:
        return self._sdk.client()

    def _engine_socket(self, timeout: float) -> Stream:
        """The engine's socket through the master. The first use asks, since ssh tells a client nothing of refusals."""
        master = self._master.running()
        path = self.host.docker.socket
        try:
            if self._proven is not master:
                with contextlib.closing(master.connect(path, timeout)) as sock:
                    sock.sendall(PING)
                    answered = bool(sock.recv(1))
                if not answered:
                    self._explain(master)
                self._proven = master
            return Stream(SocketPipe(master.connect(path, timeout)), self._door.explain)
        except TimeoutError:
            raise
        except OSError:
            self._explain(master)
            raise

    def _explain(self, master: Running) -> None:
        if not master.is_alive:
            raise self._master.lost()
        if master.said(PROHIBITED):
            raise NoForwarding
        raise SocketRefused

    def _dial(self, argv: Sequence[str], timeout: float) -> process.ProcessDial:
        line = command_line(argv, self.host.become)
        return OpensshDial(self._master.running().argv(line), self._slots, timeout)

    # --- HTTP

    def http(self, address: str, port: int, *, timeout: float) -> http.client.HTTPConnection:
        return StreamConnection(lambda limit: self._tcp(address, port, limit), address, port, timeout)

    def _tcp(self, address: str, port: int, timeout: float | None) -> Stream:
        master = self._master.running()
        bare = address.strip("[]")
        target = f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"

        def silent() -> None:
            if not master.is_alive:
                raise self._master.lost()
            if master.said(PROHIBITED):
                raise forwarding_refused(self.name, target)
            raise ConnectionRefusedError(f"{target}: connection refused")

        try:
            return Stream(SocketPipe(master.connect(target, timeout or process.LINGER)), silent)
        except TimeoutError:
            raise
        except OSError as error:
            raise self._master.lost() from error

    def close(self) -> None:
        self._sdk.close()
        self._master.close()


class OpensshDial(process.ProcessDial):
    """A command over the master that holds one of its sessions while its stream is open."""

    def __init__(self, argv: Sequence[str], slots: Slots, timeout: float) -> None:
        if not slots.acquire(timeout):
            raise TimeoutError("no session became free")
        try:
            super().__init__(argv, slots.release)
        except BaseException:
            slots.release()
            raise

    def last_words(self) -> tuple[int | None, bytes]:
        code, words = super().last_words()
        return code, without_pid(words)[1]
