"""Who of a run's hosts serves which weights to which others, and until when. Starts and fetches nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.engine.fanout import on_each
from deployer.errors import DeployerError
from deployer.weights.script import Peer

KEEP_EVERY = 60.0  # seconds; what serves ends by itself after `weights.serving.IDLE` in which nobody asked for anything


@dataclass(frozen=True, slots=True)
class Serving:
    """`keep` tells it that it is still wanted; `close` ends it."""

    peer: Peer
    keep: Callable[[], object]
    close: Callable[[], object]


@dataclass(slots=True)
class _Server:
    serving: Serving
    waiting: set[str]  # hosts that are not done yet


@dataclass(slots=True)
class Peers:
    """Servers by manifest and host, each told now and then that it is wanted. Safe to use from several threads."""

    keep_every: float = KEEP_EVERY
    _servers: dict[tuple[str, str], _Server] = field(default_factory=dict)
    _done: set[tuple[str, str]] = field(default_factory=set)
    _only: set[str] = field(default_factory=set)  # hosts where one serves, and no other may
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    def claims(self, host: str) -> bool:
        """Makes the caller the only one that serves there, until `frees`; False where another one is."""
        with self._lock:
            is_free = host not in self._only
            self._only.add(host)
            return is_free

    def frees(self, host: str) -> None:
        with self._lock:
            self._only.discard(host)

    def serves(self, manifest: str, serving: Serving, to: Iterable[str]) -> None:
        with self._lock:
            waiting = {host for host in to if (manifest, host) not in self._done}
            self._servers[manifest, serving.peer.host] = _Server(serving, waiting)
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="peers", daemon=True)
                self._keeper.start()

    def of(self, manifest: str, hosts: Iterable[str]) -> tuple[Peer, ...]:
        """Those of the hosts that serve it now, in their order."""
        with self._lock:
            found = [self._servers.get((manifest, host)) for host in hosts]
            return tuple(server.serving.peer for server in found if server is not None)

    def ended(self, manifest: str, host: str, *, failed: bool) -> None:
        """A host has it whole or gave up: whoever served only that one stops, and who gave up serves nobody."""
        with self._lock:
            self._done.add((manifest, host))
            mine = [(key, server) for key, server in self._servers.items() if key[0] == manifest]
            for _, server in mine:
                server.waiting.discard(host)
            over = [key for key, server in mine if not server.waiting or (failed and key[1] == host)]
        self._close(over)

    def close(self) -> None:
        """At the end of the run, whatever became of it."""
        self._over.set()
        self._close(tuple(self._servers))

    def _keep(self) -> None:
        """One that cannot be told ends in time."""
        while not self._over.wait(self.keep_every):
            with self._lock:
                servings = [server.serving for server in self._servers.values()]
            for serving in servings:
                with suppress(OSError, ValueError, DeployerError):
                    serving.keep()

    def _close(self, keys: Iterable[tuple[str, str]]) -> None:
        with self._lock:
            found = {"/".join(key): server for key in keys if (server := self._servers.pop(key, None)) is not None}
        on_each(found, lambda name: found[name].serving.close())
