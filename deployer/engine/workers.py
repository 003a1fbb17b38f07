"""What the thread of one running operation does: perform it, and say how it ended. Keeps no books."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePath

from deployer.engine.watch import Abandoned, Watch
from deployer.engine.wording import operation_text
from deployer.errors import DeployerError, Diagnostic, HostError
from deployer.values.events import Outcome, StepDone, StepFailed, StepSkipped, StepUndone
from deployer.values.plan import Operation, Step

Perform = Callable[[str, Operation, Watch], str]  # host, operation, watch -> detail for StepDone
INTERRUPTED = "interrupted"
PATIENCE = (1.0, 2.0, 4.0, 8.0, 8.0)  # seconds between two tries to undo, for all that a step undoes on its host


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
        try:
            detail = self.perform(step.host, step.operation, self.watch)
        except Abandoned:
            return StepSkipped(step.id, step.host, what, INTERRUPTED)
        except Exception as error:
            diagnostic = diagnostic_of(error, what, step.host)
            return StepFailed(step.id, step.host, what, self.clock() - began, diagnostic)
        return StepDone(step.id, step.host, what, self.clock() - began, detail)

    def undo(self) -> None:
        """Runs the step's `on_failure` to its end: one that fails is reported and keeps no other from its try."""
        pauses = iter(self.patience)
        for operation in self.step.on_failure:
            what = operation_text(operation)
            problem: Diagnostic | None = None
            try:
                self._undo_patiently(operation, replace(self.watch, what=what), pauses)
            except Exception as error:
                problem = diagnostic_of(error, what, self.step.host)
            self.watch.emit(StepUndone(self.step.id, self.step.host, what, problem))

    def _undo_patiently(self, operation: Operation, watch: Watch, pauses: Iterator[float]) -> None:
        """What made the step fail, a Docker that restarts or a lost connection, is often over in a moment: a
        predecessor that was stopped must not stay down for it."""
        while True:
            try:
                self.perform(self.step.host, operation, watch)
                return
            except HostError:
                pause = next(pauses, None)
                if pause is None:
                    raise
            time.sleep(pause)


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
