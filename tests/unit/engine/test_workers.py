"""Doing and undoing a step while its host is away for a moment."""

from __future__ import annotations

import pytest

from deployer.engine.watch import Watch
from deployer.engine.workers import AWAY_WITHIN, Worker
from deployer.errors import AuthenticationError, Diagnostic, DockerError, HostError, OperationError, UnreachableError
from deployer.values.events import Event, Note, StepDone, StepFailed, StepSkipped, StepUndoing, StepUndone
from deployer.values.operations import AwaitReady, Endpoint, Operation, RemoveContainer, StartContainer
from deployer.values.plan import Step

LOST = UnreachableError(Diagnostic("connection-lost", "the connection to host `a` was lost"))
DENIED = AuthenticationError(Diagnostic("auth-refused", "host `a` lets nobody in"))
WAIT = AwaitReady("new", Endpoint("127.0.0.1", 1), "/", 1.0, 1.0)
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

    pauses = iter(patience)
    for operation in (NEW, OLD):
        Worker(Step("s", "a", operation), perform, Watch("s", "a", "start", said.append)).undo(pauses)
    return tried, said


def test_an_engine_that_is_away_is_asked_again() -> None:
    away = [DockerError(Diagnostic("engine-lost", "gone")), DockerError(Diagnostic("engine-lost", "gone"))]
    tried, said = undone(list(away), (0.0, 0.0))
    assert tried == [NEW, NEW, NEW, OLD]
    assert [event.diagnostic for event in said if isinstance(event, StepUndone)] == [None, None]
    assert [type(event) for event in said] == [StepUndoing, Note, Note, StepUndone, StepUndoing, StepUndone]


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


class Scene:
    """One step on a host that fails so many times in the same way; `seconds` is how long each try takes."""

    def __init__(self, failures: list[HostError], operation: Operation = NEW, seconds: float = 0.0) -> None:
        self.failures, self.seconds, self.now, self.tries = failures, seconds, 0.0, 0
        self.said: list[Event] = []
        self.watch = Watch("s", "a", "remove it", self.said.append)
        self.worker = Worker(Step("s", "a", operation), self.perform, self.watch, lambda: self.now, (0.0, 0.0, 0.0))

    def perform(self, host: str, operation: Operation, watch: Watch) -> str:
        self.tries += 1
        self.now += self.seconds
        if self.failures:
            raise self.failures.pop(0)
        return "done it"


def test_a_step_is_done_again_when_its_host_comes_back_and_says_so() -> None:
    scene = Scene([LOST, DockerError(Diagnostic("docker-down", "no Docker"))])
    outcome = scene.worker.run_step()
    assert isinstance(outcome, StepDone)
    assert outcome.detail == "done it"
    assert [note.what for note in scene.said if isinstance(note, Note)] == [
        "the connection to host `a` was lost; trying again in 0 s: remove it",
        "no Docker; trying again in 0 s: remove it",
    ]


@pytest.mark.parametrize(
    ("scene", "tries"),
    [
        (Scene([LOST] * 9), 4),
        (Scene([DENIED] * 9), 1),
        (Scene([LOST] * 9, WAIT), 1),  # it bears a lost host by itself
        (Scene([LOST] * 9, seconds=AWAY_WITHIN + 1), 2),
    ],
)
def test_what_stays_away_is_a_failure(scene: Scene, tries: int) -> None:
    assert isinstance(scene.worker.run_step(), StepFailed)
    assert scene.tries == tries


def test_nobody_waits_for_a_host_who_wants_to_stop() -> None:
    scene = Scene([LOST] * 9)
    scene.watch.abandoned.set()
    assert isinstance(scene.worker.run_step(), StepSkipped)
    assert scene.tries == 1
