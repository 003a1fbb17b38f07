"""Ctrl-C and SIGTERM while an apply runs: once, finish or undo what runs; twice, stop now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from deployer.engine.interrupt import InterruptFlag
from deployer.errors import Diagnostic, InterruptedByUser
from deployer.values.events import Event, Note

SIGNALS = (signal.SIGINT, signal.SIGTERM)
FINISHING = "interrupted: what runs is being finished or undone; interrupt again to stop at once"


@contextmanager
def interrupts(emit: Callable[[Event], object]) -> Iterator[InterruptFlag]:
    """The flag that signals raise inside the `with`. Raises InterruptedByUser at the second signal."""
    flag = InterruptFlag()
    told: SimpleQueue[str | None] = SimpleQueue()  # its put takes no lock that a signal handler may meet

    def tell() -> None:
        while (what := told.get()) is not None:
            emit(Note(what))

    def on_signal(number: int, frame: FrameType | None) -> None:
        flag.request()
        if flag.is_urgent:
            raise KeyboardInterrupt
        told.put(FINISHING)

    teller = threading.Thread(target=tell, name="interrupts", daemon=True)
    teller.start()
    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield flag
    except KeyboardInterrupt:
        raise stopped_at_once() from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        told.put(None)
        teller.join()


def stopped_at_once() -> InterruptedByUser:
    return InterruptedByUser(
        Diagnostic("interrupted", "stopped at once; what ran was left as it is", hint="apply again to carry on")
    )
