"""Progress as JSON, one object a line; the last one carries the summary and every failed step's diagnostic."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from deployer.values.codec import to_data
from deployer.values.events import (
    ApplyResult,
    Event,
    Note,
    Said,
    StepFailed,
    StepProgress,
    StepUndone,
    StepWaiting,
    TransfersAhead,
)
from deployer.view.diagnostics import diagnostic_json
from deployer.view.json_text import render_json

OFTEN = 1.0  # seconds between two lines about the progress of one step


class JsonReporter:
    """Safe to call from any thread."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.time) -> None:
        self._write, self._clock = write, clock
        self._lock = threading.Lock()
        self._spoken: dict[str, float] = {}

    def __enter__(self) -> JsonReporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def emit(self, event: Event) -> None:
        if isinstance(event, TransfersAhead):
            return  # the plan, which is told before, has the bytes of its steps
        with self._lock:
            now = self._clock()
            if isinstance(event, StepProgress | StepWaiting):
                if now - self._spoken.get(event.step, -OFTEN) < OFTEN:
                    return
                self._spoken[event.step] = now
            self._line(now, event_json(event))

    def say(self, event: str, **data: Any) -> None:
        """A line about no step: the plan, the summary."""
        with self._lock:
            self._line(self._clock(), {"event": event, "step": None, "host": None, **data})

    def _line(self, now: float, data: dict[str, Any]) -> None:
        stamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write(render_json({"time": stamp, **data}, indent=None))


def event_json(event: Said) -> dict[str, Any]:
    """`event`, `step` and `host` first; a diagnostic as everywhere else."""
    step = None if isinstance(event, Note) else event.step
    data: dict[str, Any] = {"event": event.event, "step": step, "host": event.host}
    data |= {key: value for key, value in to_data(event, defaults=True).items() if key not in data}
    if isinstance(event, StepFailed | StepUndone):
        data["diagnostic"] = diagnostic_json(event.diagnostic) if event.diagnostic else None
    return data


def result_json(result: ApplyResult) -> dict[str, Any]:
    """What the last line of `apply --json` says beside the plan's summary."""
    return {
        "ok": result.is_ok,
        "apply": result.apply,
        "interrupted": result.interrupted,
        "steps": {
            "done": len(result.outcomes) - len(result.failed) - len(result.skipped),
            "failed": len(result.failed),
            "skipped": len(result.skipped),
        },
        "failed": [event_json(outcome) for outcome in result.failed],
        "skipped": [event_json(outcome) for outcome in result.skipped],
        "not_undone": [event_json(left) for left in result.not_undone],
        "problems": [diagnostic_json(problem) for problem in result.problems],
    }
