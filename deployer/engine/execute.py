"""Walks a plan's steps: in order of their needs, beside each other where they may, undoing what fails.

Decides nothing that the plan has not said. The caller's thread keeps the books and reports; each running operation
has a thread of its own, bounded by `Limits`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue

from deployer.dataclass import dataclass, replace
from deployer.engine.interrupt import InterruptFlag
from deployer.engine.jobs import Finished, Job, Wake, is_followed
from deployer.engine.lanes import Lanes
from deployer.engine.undoing import Undoing, Whole, undoings_of
from deployer.engine.watch import Watch
from deployer.engine.wording import operation_text
from deployer.engine.workers import INTERRUPTED, Perform, Worker
from deployer.errors import Diagnostic, InterruptedByUser
from deployer.values.events import (
    Event,
    Outcome,
    StepDone,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepUndone,
    TransfersAhead,
)
from deployer.values.operations import AwaitReady, Operation, Probe
from deployer.values.plan import Step
from deployer.values.transfers import (
    CheckCopy,
    FetchWeights,
    FillCache,
    LoadImage,
    MakeDirectory,
    PullImage,
    ServeWeights,
)

CHANGES_NOTHING = (
    PullImage | LoadImage | FetchWeights | ServeWeights | CheckCopy | FillCache | MakeDirectory | AwaitReady | Probe
)
Report = Callable[[Event], object]


@dataclass(frozen=True, slots=True)
class Limits:
    """`working`: pulls and changes at once, one of each per host. `waiting`: waits at once, over all hosts, and fetches
    of hosts that fetch themselves: in a row each needs the one before it."""

    working: int = 32
    waiting: int = 256


def execute(
    steps: Sequence[Step], perform: Perform, report: Report, interrupt: InterruptFlag, limits: Limits | None = None
) -> dict[str, Outcome]:
    """Exactly one outcome per step. `report` is only called from this thread.

    Raises InterruptedByUser at the user's second request; what runs then is left as it is.
    """
    _check_order(steps)
    return _Run(steps, perform, report, interrupt, limits or Limits()).walk()


def transfers_ahead(steps: Iterable[Step]) -> dict[str, tuple[str, int | None]]:
    """Of what brings bytes to hosts, by step."""
    brings = PullImage | LoadImage | FetchWeights
    return {s.id: (s.host, s.bytes) for s in steps if isinstance(s.operation, brings) and s.bytes != 0}


def _check_order(steps: Sequence[Step]) -> None:
    seen: set[str] = set()
    for step in steps:
        if step.id in seen or not seen.issuperset(step.needs):
            raise ValueError(f"step {step.id} is doubled or stands before what it needs")
        seen.add(step.id)


class _Run:
    def __init__(
        self, steps: Sequence[Step], perform: Perform, report: Report, interrupt: InterruptFlag, limits: Limits
    ) -> None:
        self._steps = {step.id: step for step in steps}
        self._left = {step.id: len(set(step.needs)) for step in steps}
        self._dependents: dict[str, list[Step]] = {step.id: [] for step in steps}
        for step in steps:
            for need in set(step.needs):
                self._dependents[need].append(step)
        self._perform, self._report, self._interrupt = perform, report, interrupt
        self._work: Lanes[Job] = Lanes(limits.working)
        self._wait: Lanes[Job] = Lanes(limits.waiting)
        self._inbox: SimpleQueue[Event | Finished | Wake] = SimpleQueue()  # its put is safe in a signal handler
        self._abandoned = threading.Event()
        self._started: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}
        self._changed: set[str] = set()  # done, and it or something it needed changed a host
        self._whole = Whole.of(steps)

    def walk(self) -> dict[str, Outcome]:
        self._interrupt.listen(self._wake)
        if ahead := transfers_ahead(self._steps.values()):
            self._report(TransfersAhead(ahead))
        try:
            for step in self._steps.values():
                if not step.needs:
                    self._enqueue(step)
            self._heed_interrupt()
            while self._start_jobs():
                self._take(self._inbox.get())
        finally:
            self._interrupt.unlisten(self._wake)
        return {id: self._outcomes[id] for id in self._steps}

    def _wake(self) -> None:
        self._inbox.put(Wake())

    def _take(self, message: Event | Finished | Wake) -> None:
        if isinstance(message, Wake):
            self._heed_interrupt()
        elif isinstance(message, Finished):
            job, outcome = message.job, message.outcome
            job.lanes.release(job.lane)
            if isinstance(outcome, StepUndone):
                self._settle_undone(job, outcome)
            else:
                self._whole.end(job.step)
                self._settle(job.step, outcome)
        else:
            self._report(message)

    # --- jobs -------------------------------------------------------------------

    def _enqueue(self, step: Step) -> None:
        self._add(Job(step, step.operation, step.host, self._lanes_for(step.operation)))

    def _add(self, job: Job) -> None:
        job.lanes.add(job.lane, job, first=job.undoing is not None)

    def _lanes_for(self, operation: Operation) -> Lanes[Job]:
        return self._wait if is_followed(operation) else self._work

    def _undo(self, step: Step) -> None:
        for undoing in undoings_of(step):
            self._whole.begin(step)
            self._go_on(undoing)

    def _go_on(self, undoing: Undoing) -> None:
        host, operation = undoing.left.popleft()
        lanes = self._work if undoing.alone else self._lanes_for(operation)
        self._add(Job(undoing.step, operation, host, lanes, undoing))

    def _settle_undone(self, job: Job, outcome: StepUndone) -> None:
        undoing = job.undoing
        assert undoing is not None, "only an undo ends so"
        undoing.settle(job.operation, failed=outcome.diagnostic is not None)
        if undoing.is_over:
            self._whole.end(undoing.step, failed=undoing.has_failed)
        else:
            self._go_on(undoing)

    def _start_jobs(self) -> bool:
        """Starts all that may run now; False when nothing runs any more."""
        for undoing in self._whole.next_back():
            self._go_on(undoing)
        for lanes in (self._work, self._wait):
            for job in lanes.take():
                if job.undoing is None and job.step.id in self._outcomes:
                    lanes.release(job.lane)
                else:
                    self._start(job)
        return bool(self._work.running or self._wait.running)

    def _start(self, job: Job) -> None:
        step, what = job.step, operation_text(job.operation)
        abandoned = threading.Event() if job.undoing is not None else self._abandoned
        watch = Watch(step.id, job.host, what, self._inbox.put, abandoned)
        worker = Worker(replace(step, host=job.host, operation=job.operation), self._perform, watch)
        if job.undoing is None:
            self._started.add(step.id)
            self._whole.begin(step)
            self._report(StepStarted(step.id, step.host, what))

        def run() -> None:
            self._inbox.put(Finished(job, worker.undo(job.undoing.pauses) if job.undoing else worker.run_step()))

        threading.Thread(target=run, name=f"step {step.id}", daemon=True).start()

    # --- books ------------------------------------------------------------------

    def _settle(self, step: Step, outcome: Outcome) -> None:
        self._outcomes[step.id] = outcome
        self._report(outcome)
        broken = self._whole.settle(step, outcome, INTERRUPTED)
        if isinstance(outcome, StepDone):
            self._settle_done(step)
            return
        self._skip_dependents(step, step.id if isinstance(outcome, StepFailed) else INTERRUPTED)
        if broken:
            self._skip_the_rest(step.bound, step.id)
        self._undo(step)  # comes first: what failed makes room before anything comes back

    def _settle_done(self, step: Step) -> None:
        changes = not isinstance(step.operation, CHANGES_NOTHING)
        if changes or not self._changed.isdisjoint(step.needs):
            self._changed.add(step.id)
        for dependent in self._dependents[step.id]:
            self._left[dependent.id] -= 1
            if dependent.id in self._outcomes:
                self._undo_begun(dependent, step)
            elif self._left[dependent.id] == 0:
                self._enqueue(dependent)

    def _skip_dependents(self, failed: Step, because: str) -> None:
        todo = list(self._dependents[failed.id])
        while todo:
            step = todo.pop(0)
            if step.id not in self._outcomes:
                self._skip(step, because)
                todo.extend(self._dependents[step.id])

    def _skip(self, step: Step, because: str) -> None:
        outcome = StepSkipped(step.id, step.host, operation_text(step.operation), because)
        self._outcomes[step.id] = outcome
        self._report(outcome)
        self._undo_begun(step, *(self._steps[need] for need in step.needs))
        if self._whole.settle(step, outcome, INTERRUPTED):
            self._skip_the_rest(step.bound, because)

    def _skip_the_rest(self, bound: str, because: str) -> None:
        """Of what is handed over as a whole: nothing more of it begins."""
        for step in self._steps.values():
            idle = step.id not in self._started and step.id not in self._outcomes
            if idle and self._whole.names_of(step) == bound:
                self._skip(step, because)

    # --- the user asks to stop ---------------------------------------------------

    def _heed_interrupt(self) -> None:
        if self._interrupt.is_urgent:
            raise InterruptedByUser(
                Diagnostic("interrupted", "stopped at once; what ran was left as it is", hint="apply again to carry on")
            )
        if not self._interrupt.is_set or self._abandoned.is_set():
            return
        self._abandoned.set()
        for step in self._steps.values():
            if step.id not in self._started and step.id not in self._outcomes:
                self._skip(step, INTERRUPTED)

    def _undo_begun(self, skipped: Step, *needs: Step) -> None:
        """A step that will not start any more: what these earlier steps changed on its way is undone."""
        if any(need.id in self._changed for need in needs):
            self._undo(skipped)
