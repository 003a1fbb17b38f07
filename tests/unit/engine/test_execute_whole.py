"""Steps that are done together or not at all, and undoing that waits for what came back."""

from __future__ import annotations

import threading

import pytest

from deployer.engine.execute import execute
from deployer.engine.interrupt import InterruptFlag
from deployer.engine.watch import Watch
from deployer.errors import Diagnostic, OperationError
from deployer.values.events import Outcome, StepDone, StepSkipped, StepUndone
from deployer.values.names import ReplicaKey
from deployer.values.operations import (
    AwaitReady,
    Endpoint,
    Operation,
    RemoveContainer,
    StartContainer,
    StopContainer,
    UpdateContainer,
)
from deployer.values.plan import Step


def ready(name: str) -> AwaitReady:
    return AwaitReady(name, Endpoint("127.0.0.1", 1), "/", 1.0, 1.0)


def swap(index: int, needs: tuple[str, ...] = (), host: str = "h", *, alone: bool = False) -> list[Step]:
    """One replica, stop-first; its commit is bound to those of the others. `alone`: it shares its GPUs."""
    key, new, old = ReplicaKey("chat", index), f"new-{index}", f"old-{index}"
    back = (RemoveContainer(new, None), StartContainer(old, "0", "always", alone=alone), ready(old))
    ids = [f"{index}/stop", f"{index}/start", f"{index}/await", f"{index}/commit"]
    steps = [
        Step(ids[0], host, StopContainer(old, "0"), needs, back, key=key),
        Step(ids[1], host, StartContainer(new, None, "no"), (ids[0],), back, key=key),
        Step(ids[2], host, ready(new), (ids[1],), back, key=key),
    ]
    reverts = tuple((host, operation) for operation in back)
    commit = UpdateContainer(new, None, "always")
    return [*steps, Step(ids[3], host, commit, (ids[2],), back, key=key, bound="chat", reverts=reverts)]


class Run:
    """What was performed, where some operations fail."""

    def __init__(self, steps: list[Step], *fails: str, interrupt_at: str = "") -> None:
        self.done: list[str] = []
        self.undone: list[StepUndone] = []
        lock, flag = threading.Lock(), InterruptFlag()

        def perform(host: str, operation: Operation, watch: Watch) -> str:
            text = f"{operation.op.partition('-')[0]} {getattr(operation, 'name', '')}"
            with lock:
                self.done.append(text)
            if text == interrupt_at:
                flag.request()
            if text in fails:
                raise OperationError(Diagnostic("refused", "refused"))
            return ""

        def report(event: object) -> None:
            if isinstance(event, StepUndone):
                self.undone.append(event)

        self.outcomes: dict[str, Outcome] = dict(execute(steps, perform, report, flag))

    def after(self, text: str) -> list[str]:
        return self.done[self.done.index(text) + 1 :]


THREE = [*swap(0), *swap(1, ("0/commit",)), *swap(2, ("1/commit",))]


def test_those_that_were_done_go_back_the_last_one_first() -> None:
    run = Run(THREE, "await new-2")
    assert run.after("await new-2") == [
        "remove new-2", "start old-2", "await old-2",
        "remove new-1", "start old-1", "await old-1",
        "remove new-0", "start old-0", "await old-0",
    ]  # fmt: skip


def test_nothing_more_of_it_begins() -> None:
    run = Run(THREE, "await new-1")
    assert "stop old-2" not in run.done
    assert isinstance(run.outcomes["2/stop"], StepSkipped)


def test_another_host_goes_back_once_the_one_that_failed_answers_again() -> None:
    """So that no more is down than on the way there."""
    run = Run([*swap(0, host="h"), *swap(1, ("0/commit",), host="k")], "await new-1")
    assert run.done.index("await old-1") < run.done.index("remove new-0")


@pytest.mark.parametrize("failure", ["remove new-2", "start old-2", "await old-2"])
def test_what_serves_is_left_alone_once_something_could_not_be_undone(failure: str) -> None:
    run = Run(THREE, "await new-2", failure)
    assert "remove new-1" not in run.done
    assert [u.what for u in run.undone if u.diagnostic is not None] != []


def test_what_did_not_start_is_not_waited_for() -> None:
    run = Run(swap(0), "await new-0", "start old-0")
    assert run.after("await new-0") == ["remove new-0", "start old-0"]
    assert len([u for u in run.undone if u.diagnostic is not None]) == 1


def test_a_way_back_that_fails_ends_there() -> None:
    run = Run(THREE, "await new-2", "start old-1")
    assert "await old-1" not in run.done
    assert "remove new-0" not in run.done


def test_what_is_under_way_is_waited_for_and_undone_too() -> None:
    """Two at a time: one fails while the other still waits, and is not committed any more."""
    gate, steps = threading.Event(), [*swap(0, host="h"), *swap(1, host="k")]
    done: list[str] = []

    def perform(host: str, operation: Operation, watch: Watch) -> str:
        text = f"{operation.op.partition('-')[0]} {getattr(operation, 'name', '')}"
        if text == "await new-0":
            assert gate.wait(10)
        done.append(text)
        if text == "await new-1":
            raise OperationError(Diagnostic("refused", "refused"))
        return ""

    def report(event: object) -> None:
        if isinstance(event, StepSkipped) and event.step == "0/commit":
            gate.set()

    outcomes = execute(steps, perform, report, InterruptFlag())
    assert isinstance(outcomes["0/commit"], StepSkipped)
    after = [text for text in done[done.index("await new-0") + 1 :] if text.endswith("-0")]
    assert after == ["remove new-0", "start old-0", "await old-0"]


def test_an_interrupt_takes_nothing_back_that_was_done() -> None:
    """The next apply carries on from there."""
    run = Run(THREE, interrupt_at="stop old-1")
    assert isinstance(run.outcomes["0/commit"], StepDone)
    assert "remove new-0" not in run.done
    assert "start old-1" in run.done


def test_a_failure_of_others_takes_nothing_back() -> None:
    other = Step("docs/stop", "h", StopContainer("docs", "0"), key=ReplicaKey("docs", 0))
    run = Run([*swap(0), other], "stop docs")
    assert "remove new-0" not in run.done


def test_changes_of_a_host_go_on_while_a_predecessor_loads() -> None:
    """A wait that undoes holds up no other service of its host."""
    gate = threading.Event()
    other = Step("docs/stop", "h", StopContainer("docs", "0"), ("0/commit",), key=ReplicaKey("docs", 0))
    free = Step("free/stop", "h", StopContainer("free", "0"), key=ReplicaKey("free", 0))

    def perform(host: str, operation: Operation, watch: Watch) -> str:
        name = getattr(operation, "name", "")
        if name == "free":
            gate.set()
        if isinstance(operation, AwaitReady) and name == "old-0":
            assert gate.wait(10), "the wait came before the change and held it up"
        if isinstance(operation, AwaitReady) and name == "new-0":
            raise OperationError(Diagnostic("refused", "refused"))
        return ""

    outcomes = execute([*swap(0), other, free], perform, lambda event: None, InterruptFlag())
    assert isinstance(outcomes["free/stop"], StepDone)


@pytest.mark.parametrize("attempt", range(5))
def test_what_shares_gpus_answers_before_the_next_one_goes_back(attempt: int) -> None:
    swaps = [swap(index, alone=True) for index in range(3)]
    run = Run([step for steps in swaps for step in steps], *(f"await new-{index}" for index in range(3)))
    back = [text for text in run.done if text.startswith(("start old", "await old"))]
    assert sorted(back[::2]) == [f"start old-{index}" for index in range(3)]
    assert [text.partition(" ")[2] for text in back[::2]] == [text.partition(" ")[2] for text in back[1::2]]
