"""All hosts of a project and their connections: made once, used from many threads, closed together."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from deployer.errors import HostError
from deployer.transport import open_transport
from deployer.transport.base import ConnectOptions, Transport
from deployer.transport.jumphosts import JumpHosts

if TYPE_CHECKING:
    from deployer.spec.language import Host

T = TypeVar("T")
CLOSE_TIMEOUT = 5.0  # seconds for all hosts together
FILES_BESIDES, FILES_PER_HOST = 256, 12  # open at once; the most are those of a system's ssh with its pipes and sockets


class Fleet(Mapping[str, Transport]):
    """`fleet[name]` is the host's transport, connected at its first use."""

    def __init__(self, hosts: Mapping[str, Host], options: ConnectOptions | None = None) -> None:
        self._hosts = hosts
        self._options = options or ConnectOptions()
        self._jump_hosts = JumpHosts(self._options)
        self._transports: dict[str, Transport] = {}
        self._lock = threading.Lock()
        allow_open_files(FILES_BESIDES + FILES_PER_HOST * len(hosts))

    def __getitem__(self, name: str) -> Transport:
        with self._lock:
            if name not in self._transports:
                self._transports[name] = open_transport(name, self._hosts[name], self._options, self._jump_hosts)
            return self._transports[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)

    def map(self, names: Iterable[str], work: Callable[[Transport], T], limit: int = 32) -> dict[str, T | HostError]:
        """`work` on each host, at most `limit` at once; a HostError is a result, any other exception is raised."""
        names = list(names)
        if not names:
            return {}
        pool = ThreadPoolExecutor(min(limit, len(names)), thread_name_prefix="host")
        try:
            futures = {name: pool.submit(self._one, name, work) for name in names}
            return {name: future.result() for name, future in futures.items()}
        finally:
            # After Ctrl-C: what waits is dropped, what runs ends when its connection is closed.
            pool.shutdown(wait=False, cancel_futures=True)

    def _one(self, name: str, work: Callable[[Transport], T]) -> T | HostError:
        try:
            return work(self[name])
        except HostError as error:
            return error

    def close(self) -> None:
        """Closes every connection at once, then those to jump hosts; waits a few seconds at most."""
        with self._lock:
            transports, self._transports = list(self._transports.values()), {}
        if transports:
            pool = ThreadPoolExecutor(min(32, len(transports)), thread_name_prefix="close")
            closing: list[Future[None]] = [pool.submit(transport.close) for transport in transports]
            wait(closing, CLOSE_TIMEOUT)
            pool.shutdown(wait=False, cancel_futures=True)
        self._jump_hosts.close()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def allow_open_files(wanted: int) -> None:
    """Raises this process's own limit, often 1024, up to the one it may not pass."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):  # macOS has a limit beyond the one it tells
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
