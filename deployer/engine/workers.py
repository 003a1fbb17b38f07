"""What the thread of one running operation does: perform it, and say how it ended. Keeps no books."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import PurePath

from deployer.dataclass import dataclass, replace
from deployer.engine.watch import Abandoned, Watch
from deployer.errors import DeployerError, Diagnostic, HostError
from deployer.values.events import Note, Outcome, StepDone, StepFailed, StepSkipped, StepUndoing, StepUndone
from deployer.values.operations import AwaitReady, Operation
from deployer.values.plan import Step

Perform = Callable[[str, Operation, Watch], str]  # host, operation, watch -> detail for StepDone
INTERRUPTED = "interrupted"
PATIENCE = (1.0, 2.0, 4.0, 8.0, 8.0)  # seconds between two tries while a host is away
AWAY_WITHIN = 45.0  # seconds after which a host that went away is not asked again
AWAY = ("connection-lost", "unreachable", "sessions-refused", "engine-lost", "docker-down")


@dataclass(frozen=True, slots=True)
class Worker:
    """Runs one step's operations; every expected and unexpected failure becomes a value."""

    step: Step
    perform: Perform
    watch: Watch
    clock: Callable[[], float] = time.monotonic
    patience: tuple[float, ...] = PATIENCE

    def run_step(self) -> Outcome:
        step, what, began = self.step, self.watch.what, self.clock()
        is_wait = isinstance(step.operation, AwaitReady)  # it bears a lost host by itself
        try:
            detail = self._patiently(step.operation, self.watch, iter(() if is_wait else self.patience))
        except Abandoned:
            return StepSkipped(step.id, step.host, what, INTERRUPTED)
        except Exception as error:
            diagnostic = diagnostic_of(error, what, step.host)
            return StepFailed(step.id, step.host, what, self.clock() - began, diagnostic)
        return StepDone(step.id, step.host, what, self.clock() - began, detail)

    def undo(self, pauses: Iterator[float]) -> StepUndone:
        """Runs an operation that follows a failure; how that ended is told, and keeps no other from its try. `pauses`:
        what is left of the patience with its host."""
        step, what = self.step, self.watch.what
        problem: Diagnostic | None = None
        self.watch.emit(StepUndoing(step.id, step.host, what))
        try:
            self._patiently(step.operation, self.watch, pauses)
        except Exception as error:
            problem = diagnostic_of(error, what, step.host)
        undone = StepUndone(step.id, step.host, what, problem)
        self.watch.emit(undone)
        return undone

    def _patiently(self, operation: Operation, watch: Watch, pauses: Iterator[float]) -> str:
        """A Docker that restarts or a connection that broke is often back in a moment, and every operation can be done
        twice: no rollout fails for it, and no predecessor that was stopped stays down for it."""
        began: float | None = None
        while True:
            try:
                return self.perform(self.step.host, operation, watch)
            except HostError as error:
                began = self.clock() if began is None else began
                pause = next(pauses, None)
                if pause is None or error.diagnostic.code not in AWAY or self.clock() - began > AWAY_WITHIN:
                    raise
                said = f"{error.diagnostic.message}; trying again in {pause:g} s: {watch.what}"
            watch.emit(Note(said, self.step.host))
            watch.pause(pause)


def diagnostic_of(error: Exception, what: str, host: str) -> Diagnostic:
    """The diagnostic an error carries, with its host; of a defect only type and place: its text may hold a secret."""
    if isinstance(error, DeployerError):
        first = error.diagnostics[0]
        return first if first.host else replace(first, host=host)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return Diagnostic(
        "internal-error",
        f"cannot {what}: a defect in deployer",
        evidence=(f"{type(error).__name__}{place}",),
        hint="apply again; if it stays, report it with this line",
        host=host,
    )
