"""What happens while a plan is applied: one stream of typed events, and the outcome of each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, Severity


@dataclass(frozen=True, slots=True)
class StepStarted:
    step: str
    host: str
    what: str
    event: Literal["step-started"] = "step-started"


@dataclass(frozen=True, slots=True)
class StepProgress:
    """Bytes of a pull or a transfer; `total` is None until it is known."""

    step: str
    host: str
    what: str
    done: int
    total: int | None
    unit: Literal["bytes", "layers"] = "bytes"
    event: Literal["step-progress"] = "step-progress"


@dataclass(frozen=True, slots=True)
class StepWaiting:
    """A wait says what it waits for, for how long, how long at most, and the container's last log line."""

    step: str
    host: str
    what: str
    seconds: float
    limit: float
    last_line: str = ""
    event: Literal["step-waiting"] = "step-waiting"


@dataclass(frozen=True, slots=True)
class StepDone:
    step: str
    host: str
    what: str
    seconds: float
    detail: str = ""  # e.g. what the model answered
    event: Literal["step-done"] = "step-done"


@dataclass(frozen=True, slots=True)
class StepFailed:
    step: str
    host: str
    what: str
    seconds: float
    diagnostic: Diagnostic
    event: Literal["step-failed"] = "step-failed"


@dataclass(frozen=True, slots=True)
class StepSkipped:
    step: str
    host: str
    what: str
    because: str  # id of the step that failed, or `interrupted`
    event: Literal["step-skipped"] = "step-skipped"


@dataclass(frozen=True, slots=True)
class StepUndoing:
    """An operation of a failed step's `on_failure` begins; a StepUndone follows."""

    step: str
    host: str
    what: str
    event: Literal["step-undoing"] = "step-undoing"


@dataclass(frozen=True, slots=True)
class StepUndone:
    """An operation of a failed step's `on_failure` ran; `diagnostic` is set when that failed too."""

    step: str
    host: str
    what: str
    diagnostic: Diagnostic | None = None
    event: Literal["step-undone"] = "step-undone"


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line outside any step: connecting, waiting for a lock."""

    what: str
    host: str | None = None
    event: Literal["note"] = "note"


@dataclass(frozen=True, slots=True)
class TransfersAhead:
    """What a run is to bring, by step: the host, and bytes where they are known. Before the first of them begins."""

    steps: Mapping[str, tuple[str, int | None]]
    event: Literal["transfers-ahead"] = "transfers-ahead"


Said = StepStarted | StepProgress | StepWaiting | StepDone | StepFailed | StepSkipped | StepUndoing | StepUndone | Note
Event = Said | TransfersAhead
Outcome = StepDone | StepFailed | StepSkipped


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """`outcomes` by step id. `problems`: what a last look at the hosts found not to match. `not_undone`: what should
    have been undone after a failure, and was not."""

    apply: str
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    problems: tuple[Diagnostic, ...] = ()
    interrupted: bool = False
    not_undone: tuple[StepUndone, ...] = ()

    @property
    def failed(self) -> tuple[StepFailed, ...]:
        return tuple(o for o in self.outcomes.values() if isinstance(o, StepFailed))

    @property
    def skipped(self) -> tuple[StepSkipped, ...]:
        return tuple(o for o in self.outcomes.values() if isinstance(o, StepSkipped))

    @property
    def is_ok(self) -> bool:
        wrong = any(problem.severity is Severity.ERROR for problem in self.problems)
        return not (self.failed or self.skipped or wrong or self.interrupted)
