"""What runs at the moment, told from the stream of events; the same for every renderer. Times come from outside."""

from __future__ import annotations

from dataclasses import field

from deployer.dataclass import dataclass
from deployer.values.events import (
    Event,
    StepDone,
    StepFailed,
    StepProgress,
    StepSkipped,
    StepStarted,
    StepUndoing,
    StepUndone,
    StepWaiting,
    TransfersAhead,
)
from deployer.view.measures import render_bytes, render_seconds
from deployer.view.progress.speed import Speed, render_speed
from deployer.view.progress.transfers import Transfer, Transfers


@dataclass(slots=True)
class Running:
    """A step between its start and its end; `since` and `spoken` are seconds of the reporter's clock."""

    step: str
    host: str
    what: str
    since: float
    spoken: float
    progress: StepProgress | None = None
    waiting: StepWaiting | None = None
    speed: Speed = field(default_factory=Speed)

    def state(self, now: float) -> str:
        """`pull image X: 120 MiB of 1.2 GiB, 35 MiB/s, 31 s left, 12 s`."""
        if self.progress is None:
            return f"{self.what}: {render_seconds(now - self.since)}"
        return f"{self.progress.what}: {self.amount(now)}, {render_seconds(now - self.since)}"

    def amount(self, now: float) -> str:
        """How much there is, and how fast it comes."""
        speed = render_speed([self.speed], now)
        return f"{measured(self.progress)}, {speed}" if self.progress and speed else measured(self.progress)

    def wait(self, now: float) -> str:
        """`wait until X is ready: 12 s of at most 10m 00s`."""
        limit = f" of at most {render_seconds(self.waiting.limit)}" if self.waiting else ""
        what = self.waiting.what if self.waiting else self.what
        return f"{what}: {render_seconds(now - self.since)}{limit}"

    @property
    def last_line(self) -> str:
        return self.waiting.last_line if self.waiting else ""


def measured(progress: StepProgress | None) -> str:
    if progress is None:
        return ""
    if progress.unit == "layers":
        return f"{progress.done} of {progress.total or '?'} layers"
    if progress.total is None:
        return render_bytes(progress.done)
    return f"{render_bytes(progress.done)} of {render_bytes(progress.total)}"


@dataclass(slots=True)
class Board:
    """The running steps, in the order they began."""

    transfers: Transfers = field(default_factory=Transfers)
    running: dict[str, Running] = field(default_factory=dict)
    done: int = 0

    def note(self, event: Event, now: float) -> Running | None:
        """Takes an event in; returns the step it is about, if that one ran."""
        match event:
            case StepStarted(step=step, host=host, what=what):
                self.running[step] = Running(step, host, what, since=now, spoken=now)
                return self.running[step]
            case StepProgress(step=step):
                return self._update(step, event, None, now)
            case StepWaiting(step=step):
                return self._update(step, None, event, now)
            case StepDone(step=step) | StepFailed(step=step) | StepSkipped(step=step):
                self.done += 1
                self.transfers.ended(step, whole=isinstance(event, StepDone))
                return self.running.pop(step, None)
            case StepUndoing(step=step, host=host, what=what):
                undo = self.running[_undo(step, host)] = Running(step, host, f"undoing: {what}", since=now, spoken=now)
                return undo
            case StepUndone(step=step, host=host):
                return self.running.pop(_undo(step, host), None)
            case TransfersAhead(steps=steps):
                self.transfers.plan(steps)
                return None
            case _:
                return None

    def _update(
        self, step: str, progress: StepProgress | None, waiting: StepWaiting | None, now: float
    ) -> Running | None:
        running = self.running.get(step)
        if running is not None:
            running.progress, running.waiting = progress, waiting
            if progress is not None and progress.unit == "bytes":
                running.speed.note(now, progress.done, progress.total)
                self.transfers.note(step, Transfer(running.host, running.speed, comes=True))
        return running


def _undo(step: str, host: str) -> str:
    """A step is undone on several hosts at once, on each one operation after the other."""
    return f"undo {step} on {host}"
