"""The same short act on many hosts at once, with a thread each up to a bound. Waits for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
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
