"""Undoing a step while its host is away for a moment."""

from __future__ import annotations

import pytest

from deployer.engine.watch import Watch
from deployer.engine.workers import Worker
from deployer.errors import Diagnostic, DockerError, OperationError
from deployer.values.events import Event, StepUndone
from deployer.values.plan import Operation, RemoveContainer, StartContainer, Step

NEW, OLD = RemoveContainer("new", None), StartContainer("old", "0", "always")


def undone(failures: list[Exception], patience: tuple[float, ...]) -> tuple[list[Operation], list[Event]]:
    """What was tried, and what was said, where the first tries fail in this way."""
    tried: list[Operation] = []
    said: list[Event] = []

    def perform(host: str, operation: Operation, watch: Watch) -> str:
        tried.append(operation)
        if failures:
            raise failures.pop(0)
        return ""

    step = Step("s", "a", StartContainer("new", None, "no"), on_failure=(NEW, OLD))
    Worker(step, perform, Watch("s", "a", "start", said.append), patience=patience).undo()
    return tried, said


def test_an_engine_that_is_away_is_asked_again() -> None:
    away = [DockerError(Diagnostic("engine-lost", "gone")), DockerError(Diagnostic("engine-lost", "gone"))]
    tried, said = undone(list(away), (0.0, 0.0))
    assert tried == [NEW, NEW, NEW, OLD]
    assert [event.diagnostic for event in said if isinstance(event, StepUndone)] == [None, None]


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (DockerError(Diagnostic("engine-lost", "gone")), [NEW, NEW, OLD]),
        (OperationError(Diagnostic("not-ours", "no")), [NEW, OLD]),
    ],
)
def test_patience_ends_and_a_refusal_is_final(error: Exception, tries: list[Operation]) -> None:
    tried, said = undone([error] * (len(tries) - 1), (0.0,))
    assert tried == tries
    problems = [event.diagnostic for event in said if isinstance(event, StepUndone)]
    assert problems[0] is not None
    assert problems[1] is None
