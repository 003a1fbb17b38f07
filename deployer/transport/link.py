"""One SSH connection: opened at its first use, shared by threads, opened again after it died. Runs nothing itself."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from deployer.dataclass import dataclass, replace
from deployer.errors import AuthenticationError, Diagnostic, HostError, UnreachableError
from deployer.transport.asking import Jump
from deployer.transport.base import ConnectOptions
from deployer.transport.failures import behind, cause_of, connection_lost, one_line, unreachable
from deployer.transport.sshconfig import Endpoint, resolve_alias

if TYPE_CHECKING:
    from deployer.transport.session import Session

FIRST_PAUSE, LONGEST_PAUSE = 0.3, 3.0  # seconds before another attempt, doubled for each further one
MAX_JUMPS = 8
JUMP_FAILS_FOR = 5.0  # seconds: a hundred hosts behind a dead jump host do not wait for it one after the other


class Dropped(Exception):
    """The connection was closed before the host said who it is: sshd's MaxStartups, most of the time."""


@dataclass(slots=True)
class Way:
    """How a link finds its endpoint and the link of the jump host before it; asked at every connect."""

    endpoint: Callable[[], Endpoint]
    jumps: Jumps


class Failures:
    """Of one connection that many wait for: who waited while it failed, or comes a moment later, fails with it."""

    def __init__(self, last_for: float) -> None:
        self.count = 0
        self._last_for = last_for
        self._last: tuple[float, HostError] | None = None

    def check(self, seen: int) -> None:
        """Raises the last failure where it is not too old, or was noted since `seen` was the count."""
        if self._last is not None:
            when, error = self._last
            if self.count != seen or time.monotonic() - when < self._last_for:
                raise error

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        self._last = None
        try:
            yield
        except HostError as error:
            self._last = time.monotonic(), error
            self.count += 1
            raise


class Link:
    """The connection to one endpoint. `host` is whom errors name; a failure counts for `fails_for` seconds."""

    def __init__(self, host: str, way: Way, options: ConnectOptions, fails_for: float = 0.0) -> None:
        self.host = host
        self._way = way
        self._options = options
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._connection: Any = None
        self._failures = Failures(fails_for)
        self._closed = threading.Event()
        self.target = "its address"

    def session(self) -> Session:
        """The live session. Threads that waited for a connection that failed fail with it, instead of one by one."""
        session = self._session
        if session is not None and session.is_active():
            return session
        seen = self._failures.count
        with self._lock:
            if self._session is not None and self._session.is_active():
                return self._session
            self._failures.check(seen)
            return self._connect()

    def _connect(self) -> Session:
        with self._failures.noted():
            self._session = self._open()
        if self._closed.is_set():  # meanwhile, by another thread
            self.drop()
            raise self._ended()
        return self._session

    def _open(self) -> Session:
        endpoint = self._way.endpoint()
        self.target = endpoint.target
        for attempt in range(max(1, self._options.attempts)):
            if self._closed.wait(pause_before(attempt, self._options) if attempt else 0.0):
                raise self._ended()
            try:
                return self._attempt(endpoint)
            except Dropped as error:
                dropped = error
        raise unreachable(
            self.host,
            endpoint.target,
            f"the connection was closed before SSH began, {self._options.attempts} times ({one_line(dropped)})",
            hint="raise `MaxStartups` in the host's sshd_config, or look for a firewall that closes connections",
        )

    def _attempt(self, endpoint: Endpoint) -> Session:
        from deployer.transport.connecting import connect

        timeout = endpoint.connect_timeout or self._options.connect_timeout
        sock = self._socket(endpoint, timeout)
        try:
            self._connection = connect(self.host, endpoint, sock, timeout)
        except BaseException:
            with contextlib.suppress(OSError, EOFError):
                sock.close()
            raise
        session: Session = self._connection.transport
        session.show_life(self._options.keepalive)
        return session

    def _socket(self, endpoint: Endpoint, timeout: float) -> Any:
        if endpoint.jumps:
            return self._way.jumps.channel(self.host, endpoint, timeout)
        if endpoint.proxy_command:
            raise HostError(
                Diagnostic(
                    "proxy-command",
                    f"host `{self.host}` is reached by the `ProxyCommand` of the SSH configuration",
                    host=self.host,
                    hint="set `connection: openssh` for this host, or use a `ProxyJump` (`jump:`) instead",
                )
            )
        try:
            return direct_socket(endpoint, timeout, self._options.keepalive)
        except (OSError, UnicodeError) as error:
            raise unreachable(self.host, endpoint.target, cause_of(error)) from error

    def lost(self) -> UnreachableError:
        return connection_lost(self.host, self.target, "it does not answer any more")

    def _ended(self) -> UnreachableError:
        return connection_lost(self.host, self.target, "it was closed")

    def drop(self) -> None:
        """Ends the connection; the next use opens a new one."""
        connection, session = self._connection, self._session
        if session is not None:
            with contextlib.suppress(OSError, EOFError):
                session.close()
        if connection is not None:
            with contextlib.suppress(OSError, EOFError):
                connection.close()

    def close(self) -> None:
        self._closed.set()
        self.drop()


def pause_before(attempt: int, options: ConnectOptions) -> float:
    """Seconds before the attempt of this number (the second is 1), spread so that a storm of hosts thins out."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempt - 1)) * (0.5 + options.jitter())


def direct_socket(endpoint: Endpoint, timeout: float, keepalive: float) -> socket.socket:
    """TCP to the endpoint: no Nagle (40 ms an exchange), and given up by the kernel when nothing answers."""
    sock = socket.create_connection((endpoint.hostname, endpoint.port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere the signs of life alone find a dead connection
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(keepalive * 3000))
    return sock


class Jumps:
    """Connections to jump hosts, one for each way to it, shared by all hosts behind."""

    def __init__(self, options: ConnectOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._links: dict[object, Link] = {}

    def channel(self, host: str, endpoint: Endpoint, timeout: float) -> Any:
        """A channel to the endpoint through its last jump host."""
        from deployer.transport.session import ChannelRefused, ConnectionGone

        *before, last = endpoint.jumps
        link = self._link(host, endpoint, tuple(before), last)
        try:
            session = link.session()
        except HostError as error:
            raise behind(host, error) from error
        try:
            return session.open_stream("direct-tcpip", timeout, target=(endpoint.hostname, endpoint.port))
        except ChannelRefused as error:
            cause = f"jump host `{last.address}` says: {one_line(error.words) or 'connection failed'}"
            raise unreachable(host, endpoint.target, cause) from error
        except TimeoutError as error:
            raise unreachable(host, endpoint.target, f"no answer through jump host `{last.address}`") from error
        except ConnectionGone as error:
            raise behind(host, link.lost()) from error

    def _link(self, host: str, behind: Endpoint, before: tuple[Jump, ...], last: Jump) -> Link:
        key = (before, last, behind.own_key, behind.known_hosts)
        with self._lock:
            if key not in self._links:
                way = Way(lambda: self._endpoint(host, behind, before, last), self)
                self._links[key] = Link(f"{last.address}", way, self._options, JUMP_FAILS_FOR)
            return self._links[key]

    def _endpoint(self, host: str, behind: Endpoint, before: tuple[Jump, ...], last: Jump) -> Endpoint:
        """A jump host as OpenSSH knows it; the spec's key and known_hosts count for it too."""
        if len(before) >= MAX_JUMPS:
            raise HostError(Diagnostic("bad-address", f"host `{host}` has more than {MAX_JUMPS} jump hosts", host=host))
        endpoint = resolve_alias(host, last, self._options)
        if before:
            endpoint = replace(endpoint, jumps=before)
        known = tuple(dict.fromkeys([*behind.known_hosts, *endpoint.known_hosts]))
        return replace(endpoint, own_key=behind.own_key, known_hosts=known)

    def close(self) -> None:
        with self._lock:
            links = list(self._links.values())
        for link in links:
            link.close()


def auth_refused(host: str, endpoint: Endpoint, tried: list[str]) -> AuthenticationError:
    return AuthenticationError(
        Diagnostic(
            "auth-refused",
            f"host `{host}` ({endpoint.target}) lets user `{endpoint.user}` in with no key at hand",
            evidence=tuple(tried[:12]) or ("no key file and no agent was found",),
            host=host,
            hint=f"add a public key to `{endpoint.user}`'s authorized_keys on the host, or set `user` and `key`",
        )
    )
