"""What an operation sees of the run it is part of: where to report, and whether to go on. Knows no host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.values.events import Event, StepDone, StepProgress, StepStarted, StepWaiting

HERE = "controller"  # in the place of a host


class Abandoned(Exception):
    """The user asked to stop: a wait ends here, and what its step had begun is undone."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One step's line to the reporter. `abandoned` is set when waits are to end early."""

    step: str
    host: str
    what: str
    emit: Callable[[Event], object] = lambda event: None
    abandoned: threading.Event = field(default_factory=threading.Event)

    def progress(self, done: int, total: int | None, note: str = "") -> None:
        """Bytes so far; `note` follows the step's own words, as `3 of 7 layers`."""
        what = f"{self.what}, {note}" if note else self.what
        self.emit(StepProgress(self.step, self.host, what, done, total))

    def waiting(self, seconds: float, limit: float, last_line: str = "") -> None:
        self.emit(StepWaiting(self.step, self.host, self.what, seconds, limit, last_line))

    def pause(self, seconds: float) -> None:
        """Sleeps; raises Abandoned as soon as the user asks to stop."""
        if self.abandoned.wait(max(0.0, seconds)):
            raise Abandoned

    @contextmanager
    def told(self) -> Iterator[Watch]:
        """Says of work that is no step of a plan that it began, and that it is done; another tells what it raises."""
        began = time.monotonic()
        self.emit(StepStarted(self.step, self.host, self.what))
        yield self
        self.emit(StepDone(self.step, self.host, self.what, time.monotonic() - began))
