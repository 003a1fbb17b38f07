"""Waits for hosts that are never silent: they say what they still wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from deployer.values.events import Event, Note

if TYPE_CHECKING:
    from concurrent.futures import Future

    from deployer.engine.observe import Hosts
    from deployer.errors import HostError
    from deployer.transport.base import Transport

T = TypeVar("T")
SAY_EVERY = 10.0  # seconds
MOST_NAMED = 8  # hosts


@contextmanager
def speaking(
    report: Callable[[Event], object], say: Callable[[float], str], every: float = SAY_EVERY
) -> Iterator[None]:
    """While the block runs, reports each `every` seconds what `say` makes of the seconds that have passed."""
    done = threading.Event()

    def speak() -> None:
        began = time.monotonic()
        while not done.wait(every):
            report(Note(say(time.monotonic() - began)))

    threading.Thread(target=speak, name="speaking", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def begun(look: Callable[[], T]) -> Future[T]:
    """A look that goes on in the background, for as long as the slowest host takes; nobody waits for it at the end."""
    from concurrent.futures import Future

    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(look())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="looking", daemon=True).start()
    return future


class Spoken:
    """Hosts, as `engine.observe` wants them, that report what is still waited for."""

    def __init__(self, hosts: Hosts, report: Callable[[Event], object], every: float = SAY_EVERY) -> None:
        self._hosts, self._report, self._every = hosts, report, every

    def map(self, names: Iterable[str], work: Callable[[Transport], T], limit: int = 32) -> dict[str, T | HostError]:
        pending = dict.fromkeys(names)

        def look(transport: Transport) -> T:
            try:
                return work(transport)
            finally:
                pending.pop(transport.name, None)

        with speaking(self._report, lambda seconds: still_looking(sorted(pending), seconds), self._every):
            return self._hosts.map(list(pending), look, limit)


class Connecting:
    """Hosts that set `over` once each of them is connected, or cannot be."""

    def __init__(self, hosts: Hosts, over: threading.Event) -> None:
        self._hosts, self._over = hosts, over

    def map(self, names: Iterable[str], work: Callable[[Transport], T], limit: int = 32) -> dict[str, T | HostError]:
        left = dict.fromkeys(names)

        def connect_first(transport: Transport) -> T:
            try:
                transport.connect()
            finally:
                left.pop(transport.name, None)
                if not left:
                    self._over.set()
            return work(transport)

        try:
            return self._hosts.map(list(left), connect_first, limit)
        finally:
            self._over.set()


def still_looking(hosts: list[str], seconds: float) -> str:
    named = ", ".join(hosts[:MOST_NAMED]) + (f" and {len(hosts) - MOST_NAMED} more" if len(hosts) > MOST_NAMED else "")
    return f"still looking at {named or 'the hosts'} ({seconds:.0f} s)"
