"""Ctrl-C and SIGTERM as a value: asked once, finish or undo what runs; asked twice, stop now. Installs no handler."""

from __future__ import annotations

from collections.abc import Callable


class InterruptFlag:
    """Counts the user's wishes to stop. `request` may be called from a signal handler: it takes no lock."""

    def __init__(self) -> None:
        self._count = 0
        self._listeners: tuple[Callable[[], object], ...] = ()

    def request(self) -> None:
        self._count += 1
        for listener in self._listeners:
            listener()

    @property
    def is_set(self) -> bool:
        return self._count > 0

    @property
    def is_urgent(self) -> bool:
        return self._count > 1

    def listen(self, listener: Callable[[], object]) -> None:
        """Calls `listener` at each request; it must not take a lock that another thread or frame may hold."""
        self._listeners = (*self._listeners, listener)

    def unlisten(self, listener: Callable[[], object]) -> None:
        self._listeners = tuple(known for known in self._listeners if known is not listener)
