"""Who of a run's hosts serves which weights to which others, and until when. Starts and fetches nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.engine.fanout import on_each
from deployer.weights.script import Peer


@dataclass(slots=True)
class _Serving:
    peer: Peer
    waiting: set[str]  # hosts that are not done yet
    close: Callable[[], object]


@dataclass(slots=True)
class Peers:
    """Servers by manifest and host. Safe to use from several threads."""

    _servers: dict[tuple[str, str], _Serving] = field(default_factory=dict)
    _done: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serves(self, manifest: str, peer: Peer, to: Iterable[str], close: Callable[[], object]) -> None:
        with self._lock:
            waiting = {host for host in to if (manifest, host) not in self._done}
            self._servers[manifest, peer.host] = _Serving(peer, waiting, close)

    def of(self, manifest: str, hosts: Iterable[str]) -> tuple[Peer, ...]:
        """Those of the hosts that serve it now, in their order."""
        with self._lock:
            found = [self._servers.get((manifest, host)) for host in hosts]
            return tuple(server.peer for server in found if server is not None)

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
        self._close(tuple(self._servers))

    def _close(self, keys: Iterable[tuple[str, str]]) -> None:
        with self._lock:
            found = {"/".join(key): server for key in keys if (server := self._servers.pop(key, None)) is not None}
        on_each(found, lambda name: found[name].close())
