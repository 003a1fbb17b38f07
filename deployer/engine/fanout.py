"""Short acts on many hosts at once, with a thread each up to a bound: waited for, or beside the caller."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from deployer.errors import DeployerError

T = TypeVar("T")
AT_ONCE = 64


def on_each(hosts: Iterable[str], act: Callable[[str], T], at_once: int = AT_ONCE) -> dict[str, T | DeployerError]:
    """What `act` returned or raised, by host in name order. A defect in `act` is raised after all are done."""
    names = sorted(set(hosts))
    todo: SimpleQueue[str] = SimpleQueue()
    for name in names:
        todo.put(name)
    found: dict[str, T | DeployerError] = {}
    defects: list[Exception] = []

    def work() -> None:
        while True:
            try:
                name = todo.get_nowait()
            except Empty:
                return
            try:
                found[name] = act(name)
            except DeployerError as error:
                found[name] = error
            except Exception as error:
                defects.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(at_once, len(names)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if defects:
        raise defects[0]
    return {name: found[name] for name in names}


class Crew:
    """Performs acts beside the caller, in the order they came; its threads end when there is nothing to do."""

    def __init__(self, name: str, at_once: int = AT_ONCE) -> None:
        self._name, self._at_once = name, at_once
        self._todo: deque[Callable[[], object]] = deque()
        self._working = 0
        self._lock = threading.Lock()

    def add(self, act: Callable[[], object]) -> None:
        """What `act` raises is lost."""
        with self._lock:
            self._todo.append(act)
            if self._working == self._at_once:
                return
            self._working += 1
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._todo:
                    self._working -= 1
                    return
                act = self._todo.popleft()
            with suppress(Exception):  # a worker that died would be missing for good
                act()
