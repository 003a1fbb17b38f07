"""The one narrow seam between deployer and a host: run, put, the Docker socket, HTTP to a port of the host."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import docker

    from deployer.spec.language import Host


@dataclass(frozen=True, slots=True)
class Completed:
    exit_code: int
    stdout: bytes
    stderr: bytes


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

    def stream(self, argv: Sequence[str], *, timeout: float) -> AbstractContextManager[Iterator[bytes]]:
        """Runs a command and yields its stdout as it comes; leaving the context ends the command."""

    def put(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Writes a file on the host: beside, then renamed."""

    def engine(self) -> http.client.HTTPConnection:
        """A new HTTP connection to the Docker engine's socket (one channel of this host's connection)."""

    def docker(self) -> docker.APIClient:
        """The Docker SDK on channels of this host's connection; one client per host, made at the first use."""

    def http(self, address: str, port: int, *, timeout: float) -> http.client.HTTPConnection:
        """An HTTP connection from the host itself to one of its own addresses."""

    def close(self) -> None: ...
