"""The one narrow seam between deployer and a host: run, put, the Docker socket, HTTP to a port of the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from deployer.dataclass import dataclass

if TYPE_CHECKING:
    import http.client

    import docker

    from deployer.spec.language import Host


@dataclass(frozen=True, slots=True)
class Completed:
    exit_code: int
    stdout: bytes
    stderr: bytes


def chance() -> float:
    import random  # late: it brings hashlib and more along

    return random.random()


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """How hosts are reached, for all of them. Seconds; `jitter` gives a number from 0 to 1 for each back-off."""

    ssh_config: str | None = None  # read instead of ~/.ssh/config and /etc/ssh/ssh_config, as ssh's -F
    connect_timeout: float = 10.0
    keepalive: float = 15.0  # between signs of life; the connection is given up after three without an answer
    attempts: int = 8  # connections that sshd's MaxStartups dropped are tried again, over some 13 seconds
    jitter: Callable[[], float] = chance


class Transport(Protocol):
    """One connection to one host, opened by its first use, safe to use from several threads.

    Every call raises a HostError that names the host when the host cannot be used, and is bounded by `timeout`
    seconds. argv is quoted in one place (`transport.quoting`); `become` is applied by the transport.
    """

    name: str  # the host's name in the inventory
    host: Host

    def connect(self) -> None:
        """Connects and authenticates now; does nothing when connected."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        """Runs one command; a non-zero exit is a value. Output is cut at 32 MiB."""

    def stream(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Runs a command and yields its stdout as it comes; leaving the context ends the command.

        A HostError `command-failed` follows the last byte of a command that exits with another code than 0.
        """

    def put(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Writes a file on the host: beside, then renamed. Its directory exists; HostError `write-failed`."""

    def engine(self) -> http.client.HTTPConnection:
        """A new HTTP connection to the Docker engine's socket (one channel of this host's connection)."""

    @property
    def dials(self) -> bool:
        """Whether each connection to the engine is a command on the host, of which sshd allows few at once."""

    def docker(self) -> docker.APIClient:
        """The Docker SDK on channels of this host's connection; one client per host, made at the first use.

        Nothing of the controller's own Docker configuration (logins, proxies) is used.
        """

    def http(self, address: str, port: int, *, timeout: float) -> http.client.HTTPConnection:
        """An HTTP connection from the host itself to one of its own addresses.

        Its first request raises ConnectionRefusedError when nothing listens there, TimeoutError when nothing answers.
        """

    def close(self) -> None: ...
