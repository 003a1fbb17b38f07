"""`connection: ssh`: one fabric connection per host, its channels for commands, Docker's socket and HTTP."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from deployer.errors import HostError
from deployer.transport.base import Completed, ConnectOptions
from deployer.transport.engine import EngineDoor, NoForwarding, SocketRefused
from deployer.transport.failures import (
    command_failed,
    command_timeout,
    forwarding_refused,
    one_line,
    sessions_refused,
    sudo_denied,
    sudo_refusal,
)
from deployer.transport.files import write_file
from deployer.transport.link import Jumps, Link, Way
from deployer.transport.quoting import command_line, kill_line
from deployer.transport.sdk import SdkClient
from deployer.transport.slots import DIALS, PATIENCE, SESSIONS, SLOT_TIMEOUT, Slots
from deployer.transport.sshconfig import resolve
from deployer.transport.streams import Stream, StreamConnection

if TYPE_CHECKING:
    import docker

    from deployer.spec.language import Host
    from deployer.transport.execution import Execution
    from deployer.transport.session import Session

OPEN_TIMEOUT = 20.0  # seconds for the host to open a channel
KILL_TIMEOUT = 5.0


class SshTransport:
    def __init__(self, name: str, host: Host, options: ConnectOptions, jumps: Jumps) -> None:
        self.name = name
        self.host = host
        self.link = Link(name, Way(lambda: resolve(name, host, options), jumps), options)
        self._slots = Slots(SESSIONS)
        self._dials = Slots(DIALS)
        self._door = EngineDoor(self, self._engine_socket, self._dial)
        self._sdk = SdkClient(self._door)

    def connect(self) -> None:
        self.link.session()

    # --- commands

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        execution = self._execute(argv, timeout)
        try:
            done = execution.complete(stdin, time.monotonic() + timeout)
        except TimeoutError:
            raise command_timeout(self.name, argv[0], timeout, execution.errors) from None
        finally:
            self._end(execution)
        refused = sudo_refusal(done.stderr) if self.host.become and done.exit_code else None
        if refused:
            raise sudo_denied(self.name, refused)
        return done

    @contextlib.contextmanager
    def _streamed(self, argv: Sequence[str], stdin: bytes, timeout: float) -> Iterator[Iterator[bytes]]:
        execution = self._execute(argv, timeout)

        def chunks() -> Iterator[bytes]:
            try:
                yield from execution.chunks(stdin, time.monotonic() + timeout)
            except TimeoutError:
                raise command_timeout(self.name, argv[0], timeout, execution.errors) from None
            code = execution.exit_code(1.0)
            if code:
                raise command_failed(self.name, argv[0], code, execution.errors)

        try:
            yield chunks()
        finally:
            self._end(execution)

    def stream(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float
    ) -> AbstractContextManager[Iterator[bytes]]:
        return self._streamed(argv, stdin, timeout)

    def put(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        write_file(self, path, data, mode)

    def _execute(self, argv: Sequence[str], timeout: float) -> Execution:
        return self._start(command_line(argv, self.host.become), timeout)

    def _start(self, line: str, timeout: float) -> Execution:
        from deployer.transport.execution import Execution
        from deployer.transport.session import ConnectionGone

        channel = self._session_channel(min(timeout, SLOT_TIMEOUT))
        execution = Execution(channel, self.link.lost, self._slots.release)
        try:
            execution.start(line, OPEN_TIMEOUT)
        except TimeoutError:
            execution.close()
            self.link.drop()
            raise self.link.lost() from None
        except ConnectionGone:
            execution.close()
            raise self.link.lost() from None
        return execution

    def _end(self, execution: Execution) -> None:
        """Closes the channel, and kills a command that was left before its end."""
        pid = execution.runs_on_as
        execution.close()
        if pid is not None:
            with contextlib.suppress(HostError):
                self._start(kill_line(pid, self.host.become), KILL_TIMEOUT).end_within(KILL_TIMEOUT)

    def _session_channel(self, timeout: float) -> Any:
        """A session channel, with a slot held for it. Refusals teach how many the host allows."""
        from deployer.transport.session import ChannelRefused

        deadline = time.monotonic() + timeout
        while self._slots.acquire(max(0.0, deadline - time.monotonic())):
            try:
                return self._patiently_opened()
            except ChannelRefused as error:
                if not self._slots.shrink():
                    raise sessions_refused(self.name, one_line(error.words)) from error
            except TimeoutError as error:
                self._slots.release()
                self.link.drop()
                raise self.link.lost() from error
            except BaseException:
                self._slots.release()
                raise
        raise sessions_refused(self.name, f"none became free within {timeout:g} s")

    def _patiently_opened(self) -> Any:
        from deployer.transport.session import ChannelRefused

        for pause in PATIENCE:
            try:
                return self._open(self.link.session(), "session", OPEN_TIMEOUT)
            except ChannelRefused:
                time.sleep(pause)
        return self._open(self.link.session(), "session", OPEN_TIMEOUT)

    def _open(self, session: Session, kind: str, timeout: float, **where: Any) -> Any:
        """A channel, on a new connection when this one died meanwhile. ChannelRefused, TimeoutError or HostError."""
        from deployer.transport.session import ConnectionGone

        try:
            return session.open_stream(kind, timeout, **where)
        except ConnectionGone:
            pass
        try:
            return self.link.session().open_stream(kind, timeout, **where)
        except ConnectionGone:
            raise self.link.lost() from None

    # --- Docker

    def engine(self) -> http.client.HTTPConnection:
        return self._door.connection()

    @property
    def dials(self) -> bool:
        return self._door.dials

    def docker(self) -> docker.APIClient:
        return self._sdk.client()

    def _engine_socket(self, timeout: float) -> Stream:
        from deployer.transport.session import PROHIBITED, STREAMLOCAL, UNKNOWN_KIND, ChannelRefused

        path = self.host.docker.socket
        try:
            channel = self._open(self.link.session(), STREAMLOCAL, min(timeout, OPEN_TIMEOUT), socket_path=path)
        except ChannelRefused as error:
            if error.code in (PROHIBITED, UNKNOWN_KIND):
                raise NoForwarding from None
            raise SocketRefused from error
        return self._stream(channel, self._door.explain)

    def _dial(self, argv: Sequence[str], timeout: float) -> Dial:
        if not self._dials.acquire(min(timeout, SLOT_TIMEOUT)):
            raise sessions_refused(self.name, "all are held by Docker's streams")
        try:
            execution = self._execute(argv, timeout)
        except BaseException:
            self._dials.release()
            raise
        return Dial(execution, self._dials.release)

    # --- HTTP

    def http(self, address: str, port: int, *, timeout: float) -> http.client.HTTPConnection:
        return StreamConnection(lambda limit: self._tcp(address, port, limit), address, port, timeout)

    def _tcp(self, address: str, port: int, timeout: float | None) -> Stream:
        from deployer.transport.session import PROHIBITED, UNKNOWN_KIND, ChannelRefused

        limit = OPEN_TIMEOUT if timeout is None else timeout
        target = (address.strip("[]"), port)
        try:
            channel = self._open(self.link.session(), "direct-tcpip", limit, target=target)
        except ChannelRefused as error:
            if error.code in (PROHIBITED, UNKNOWN_KIND):
                raise forwarding_refused(self.name, f"{address}:{port}") from None
            raise tcp_error(error.words, address, port) from None
        return self._stream(channel, None)

    def _stream(self, channel: Any, on_silence: Callable[[], None] | None) -> Stream:
        from deployer.transport.session import ChannelPipe

        return Stream(ChannelPipe(channel, self.link.lost), on_silence)

    def close(self) -> None:
        self._sdk.close()
        self.link.close()


class Dial:
    """A `docker system dial-stdio` that runs on the host."""

    def __init__(self, execution: Execution, release: Callable[[], None]) -> None:
        self._execution = execution
        self.stream = Stream(execution.pipe(release))

    def last_words(self) -> tuple[int | None, bytes]:
        code = self._execution.exit_code(2.0)
        return code, self._execution.errors


def tcp_error(words: str, address: str, port: int) -> OSError:
    """sshd's words are the system's: anything but a time-out means that nobody listens there."""
    where = f"{address}:{port}"
    if "timed out" in words.lower():
        return TimeoutError(f"{where} does not answer")
    if "resolve" in words.lower() or "not known" in words.lower():
        return socket.gaierror(f"{where}: {one_line(words)}")
    return ConnectionRefusedError(f"{where}: {one_line(words) or 'connection refused'}")
