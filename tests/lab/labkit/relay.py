"""A registry that has a bad day: a TCP relay on the lab's own address, in front of the open registry."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType

CHUNK = 16384


class BadRegistry:
    """Passes everything on; what comes from the registry at `rate` bytes a second (None: as it comes). It may die and
    come back at the same address. `at`: where it listens, by default where the hosts reach it."""

    def __init__(self, gateway: str, registry_port: int, rate: float | None = None, at: str | None = None) -> None:
        self.rate = rate
        self.passed = 0  # bytes from the registry
        self._registry = (gateway, registry_port)
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._address = self._listen((at or gateway, 0))

    @property
    def name(self) -> str:
        """As the hosts know it."""
        return f"registry.lab:{self._address[1]}"

    @property
    def address(self) -> str:
        """As this machine knows it."""
        return f"{self._address[0]}:{self._address[1]}"

    def die(self) -> None:
        """Nobody listens any more, and all connections are reset."""
        with self._lock:
            ends, self._ends = self._ends, set()
            listener, self._listener = self._listener, None
        for end in (*ends, *([listener] if listener else [])):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def revive(self) -> None:
        self._listen(self._address)

    def __enter__(self) -> BadRegistry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.die()

    def _listen(self, address: tuple[str, int]) -> tuple[str, int]:
        listener = socket.create_server(address, backlog=16)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        host, port = listener.getsockname()
        return str(host), int(port)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(self._registry, timeout=10)
            except OSError:
                return
            server.settimeout(None)
            with self._lock:
                self._ends |= {client, server}
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                rate = self.rate
                if is_answer and rate:
                    time.sleep(len(data) / rate)
                target.sendall(data)
                self.passed += len(data) * is_answer
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            with self._lock:
                self._ends.discard(end)
