"""Steps that never start although something was changed for them: that is undone."""

from __future__ import annotations

import threading

from deployer.engine.execute import execute
from deployer.engine.interrupt import InterruptFlag
from deployer.engine.watch import Watch
from deployer.errors import Diagnostic, OperationError
from deployer.values.events import StepDone, StepSkipped
from deployer.values.operations import Operation, RemoveContainer, StartContainer, StopContainer
from deployer.values.plan import Step


def swap() -> list[Step]:
    """Two replicas that need each other's claims: both stop before either starts."""
    back = {name: (StartContainer(f"old-{name}", None, "always"),) for name in "ab"}
    return [
        Step("a/stop", "h", StopContainer("old-a", None)),
        Step("b/stop", "k", StopContainer("old-b", None)),
        Step("a/start", "h", StartContainer("new-a", None, "no"), ("a/stop", "b/stop"), back["a"]),
        Step("b/start", "k", StartContainer("new-b", None, "no"), ("a/stop", "b/stop"), back["b"]),
    ]


def run(fails: str, gate: threading.Event | None = None) -> tuple[dict[str, object], list[str]]:
    performed: list[str] = []

    def perform(host: str, operation: Operation, watch: Watch) -> str:
        name = getattr(operation, "name", "")
        if name == fails:
            raise OperationError(Diagnostic("refused", "refused"))
        if gate is not None and name == "old-a":
            assert gate.wait(10)
        performed.append(f"{operation.op} {name}")
        return ""

    def report(event: object) -> None:
        if gate is not None and isinstance(event, StepSkipped):
            gate.set()

    return dict(execute(swap(), perform, report, InterruptFlag())), performed


def test_what_was_stopped_for_a_step_that_is_skipped_comes_back() -> None:
    outcomes, performed = run(fails="old-b")
    assert isinstance(outcomes["a/stop"], StepDone)
    assert isinstance(outcomes["a/start"], StepSkipped)
    assert "start-container old-a" in performed


def test_also_when_the_stop_ends_after_the_failure() -> None:
    _, performed = run(fails="old-b", gate=threading.Event())
    assert performed.index("stop-container old-a") < performed.index("start-container old-a")


def test_a_skipped_step_for_which_nothing_was_changed_is_not_undone() -> None:
    steps = [
        Step("a/stop", "h", StopContainer("old-a", None)),
        Step("a/start", "h", StartContainer("new-a", None, "no"), ("a/stop",), (RemoveContainer("new-a", None),)),
    ]
    performed: list[str] = []

    def perform(host: str, operation: Operation, watch: Watch) -> str:
        performed.append(operation.op)
        raise OperationError(Diagnostic("refused", "refused"))

    execute(steps, perform, lambda event: None, InterruptFlag())
    assert performed == ["stop-container"]
