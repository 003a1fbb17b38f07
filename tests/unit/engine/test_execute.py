"""The walk over a plan's steps, with plain functions for operations."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.engine.execute import Limits, execute, transfers_ahead
from deployer.engine.interrupt import InterruptFlag
from deployer.engine.watch import Watch
from deployer.errors import Diagnostic, InterruptedByUser, OperationError
from deployer.values.events import (
    Event,
    Outcome,
    StepDone,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepUndone,
)
from deployer.values.operations import AwaitReady, Endpoint, Operation, RemoveContainer, StopContainer
from deployer.values.plan import Step
from deployer.values.transfers import MakeDirectory, PullImage


def change(name: str) -> Operation:
    return StopContainer(name, None)


def wait(name: str) -> Operation:
    return AwaitReady(name, Endpoint("127.0.0.1", 1), "/", 1.0, 1.0)


def step(id: str, *needs: str, host: str = "a", undo: tuple[str, ...] = (), operation: Operation | None = None) -> Step:
    undoing = tuple(RemoveContainer(name, None) for name in undo)
    return Step(id, host, operation or change(id), tuple(needs), undoing)


def refused(name: str) -> OperationError:
    return OperationError(Diagnostic("refused", f"`{name}` was refused"))


def name_of(operation: Operation) -> str:
    return str(getattr(operation, "name", None) or getattr(operation, "image", None) or getattr(operation, "path", ""))


@dataclass
class Scene:
    """Runs steps; `acts` by the operation's name, everything else succeeds."""

    acts: dict[str, Callable[[Watch], str]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    performed: list[str] = field(default_factory=list)
    interrupt: InterruptFlag = field(default_factory=InterruptFlag)
    limits: Limits = field(default_factory=Limits)

    def perform(self, host: str, operation: Operation, watch: Watch) -> str:
        name = name_of(operation)
        self.performed.append(("undo " if isinstance(operation, RemoveContainer) else "") + name)
        return self.acts.get(name, lambda watch: "")(watch)

    def run(self, *steps: Step) -> dict[str, Outcome]:
        return execute(steps, self.perform, self.events.append, self.interrupt, self.limits)

    def fails(self, *names: str) -> Scene:
        def fail(name: str) -> Callable[[Watch], str]:
            def act(watch: Watch) -> str:
                raise refused(name)

            return act

        self.acts |= {name: fail(name) for name in names}
        return self


def test_dependents_follow_what_they_need() -> None:
    scene = Scene()
    outcomes = scene.run(step("one"), step("two", "one"), step("three", "two"))
    assert scene.performed == ["one", "two", "three"]
    assert all(isinstance(o, StepDone) for o in outcomes.values())
    assert list(outcomes) == ["one", "two", "three"]


def test_a_failure_is_undone_in_order_and_skips_what_depends_on_it() -> None:
    scene = Scene().fails("two", "x")
    outcomes = scene.run(
        step("one"), step("two", "one", undo=("x", "y")), step("three", "two"), step("four", "three"), step("other")
    )
    failed = outcomes["two"]
    assert isinstance(failed, StepFailed)
    assert failed.diagnostic.code == "refused"
    assert failed.diagnostic.host == "a"
    assert [outcomes[i].because for i in ("three", "four") if isinstance(outcomes[i], StepSkipped)] == ["two", "two"]
    assert isinstance(outcomes["other"], StepDone)
    undone = [e for e in scene.events if isinstance(e, StepUndone)]
    assert [u.what for u in undone] == ["remove container x", "remove container y"]
    assert [u.diagnostic is None for u in undone] == [False, True]


def test_a_defect_is_a_failure_that_shows_no_values() -> None:
    def defect(watch: Watch) -> str:
        raise KeyError("s3cr3t")

    outcome = Scene({"one": defect}).run(step("one"))["one"]
    assert isinstance(outcome, StepFailed)
    assert outcome.diagnostic.code == "internal-error"
    assert "s3cr3t" not in repr(outcome)
    assert "KeyError" in outcome.diagnostic.evidence[0]


def test_a_slow_host_holds_up_nobody() -> None:
    gate = threading.Event()
    done: list[str] = []

    def slow(watch: Watch) -> str:
        assert gate.wait(10)
        return ""

    def last(watch: Watch) -> str:
        done.append(watch.host)
        if len(done) == 20:
            gate.set()
        return ""

    names = [f"h{n}" for n in range(20)]
    scene = Scene({"slow": slow, **{f"{n}/2": last for n in names}})
    steps = [step("slow", host="slowest")]
    for name in names:
        steps += [step(f"{name}/1", host=name), step(f"{name}/2", f"{name}/1", host=name)]
    assert all(isinstance(o, StepDone) for o in scene.run(*steps).values())


def test_changes_of_a_host_run_one_by_one_while_its_pull_and_its_waits_go_on() -> None:
    busy: Counter[str] = Counter()
    most: Counter[str] = Counter()
    together = threading.Barrier(3)

    def act(kind: str) -> Callable[[Watch], str]:
        def run(watch: Watch) -> str:
            busy[kind] += 1
            most[kind] = max(most[kind], busy[kind])
            if watch.step in ("c0", "p0", "w0"):
                together.wait(10)  # passes only if one of each kind runs at the same time
            busy[kind] -= 1
            return ""

        return run

    steps = [step(f"c{n}") for n in range(5)]
    steps += [step(f"p{n}", operation=PullImage(f"p{n}", "r")) for n in range(5)]
    steps += [step(f"w{n}", operation=wait(f"w{n}")) for n in range(5)]
    scene = Scene({s.id: act(s.id[0]) for s in steps})
    scene.run(*steps)
    assert most["c"] == 1
    assert most["p"] == 1


def test_hosts_at_once_are_bounded() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def act(watch: Watch) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1
        return ""

    steps = [step(f"s{n}", host=f"h{n}") for n in range(40)]
    Scene({s.id: act for s in steps}, limits=Limits(working=4)).run(*steps)
    assert most == 4


def test_one_interrupt_finishes_what_runs_abandons_waits_and_undoes_what_was_begun() -> None:
    scene = Scene()

    def first(watch: Watch) -> str:
        scene.interrupt.request()
        return ""

    def forever(watch: Watch) -> str:
        watch.pause(30)
        raise AssertionError("the wait was not abandoned")

    scene.acts = {"stop-old": first, "waiting": forever}
    outcomes = scene.run(
        step("waiting", host="b", operation=wait("waiting"), undo=("half",)),
        step("after-wait", "waiting", host="b"),
        step("stop-old"),
        step("start-new", "stop-old", undo=("new", "old")),
        step("await-new", "start-new", undo=("never",)),
        step("later", "stop-old", operation=MakeDirectory("later"), host="c"),
    )
    assert isinstance(outcomes["stop-old"], StepDone)
    for id in ("waiting", "after-wait", "start-new", "await-new", "later"):
        outcome = outcomes[id]
        assert isinstance(outcome, StepSkipped)
        assert outcome.because == "interrupted"
    assert sorted(p for p in scene.performed if p.startswith("undo")) == ["undo half", "undo new", "undo old"]


def test_a_second_interrupt_stops_now() -> None:
    scene = Scene()
    hangs = threading.Event()

    def twice(watch: Watch) -> str:
        scene.interrupt.request()
        scene.interrupt.request()
        hangs.wait(30)
        return ""

    scene.acts = {"one": twice}
    with pytest.raises(InterruptedByUser):
        scene.run(step("one"))
    hangs.set()


def test_an_interrupt_before_the_first_step_starts_none() -> None:
    scene = Scene()
    scene.interrupt.request()
    outcomes = scene.run(step("one"), step("two", "one"))
    assert scene.performed == []
    assert all(isinstance(o, StepSkipped) for o in outcomes.values())


def test_steps_out_of_order_are_a_defect_of_the_plan() -> None:
    with pytest.raises(ValueError, match="two"):
        Scene().run(step("two", "one"), step("one"))


# --- laws ------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    kinds: Sequence[Callable[[str], Operation]] = (change, wait, lambda name: PullImage(name, "r"))
    steps: list[Step] = []
    for n in range(draw(st.integers(1, 14))):
        needs = draw(st.lists(st.sampled_from([s.id for s in steps]), max_size=3, unique=True)) if steps else []
        host, kind = draw(st.sampled_from("abc")), draw(st.sampled_from(kinds))
        undo = (f"u{n}",) if draw(st.booleans()) else ()
        steps.append(step(f"s{n}", *needs, host=host, operation=kind(f"s{n}"), undo=undo))
    return steps


@given(graphs(), st.sets(st.integers(0, 13)), st.one_of(st.none(), st.integers(0, 13)))
@settings(max_examples=100, deadline=None)
def test_laws(steps: list[Step], failing: set[int], interrupting: int | None) -> None:
    scene = Scene().fails(*(f"s{n}" for n in failing))

    def interrupt(watch: Watch) -> str:
        scene.interrupt.request()
        return ""

    if interrupting is not None:
        scene.acts[f"s{interrupting}"] = interrupt
    outcomes = scene.run(*steps)

    ran = [p for p in scene.performed if not p.startswith("undo")]
    assert set(outcomes) == {s.id for s in steps}
    assert Counter(ran) == Counter(set(ran)), "no step twice"
    for s in steps:
        outcome = outcomes[s.id]
        done = all(isinstance(outcomes[n], StepDone) for n in s.needs)
        assert (s.id in ran) == (not isinstance(outcome, StepSkipped))
        assert s.id not in ran or done, "a dependent ran without what it needs"
        if interrupting is None:
            assert isinstance(outcome, StepSkipped) == (not done)
        if isinstance(outcome, StepFailed):
            assert set(s.on_failure) <= {RemoveContainer(p.removeprefix("undo "), None) for p in scene.performed}
        if isinstance(outcome, StepDone):
            assert not any(f"undo {o.name}" in scene.performed for o in s.on_failure if isinstance(o, RemoveContainer))
    for event in (StepStarted, StepDone, StepFailed, StepSkipped):
        said = Counter(e.step for e in scene.events if isinstance(e, event))
        assert all(count == 1 for count in said.values())


def test_what_a_run_is_to_bring_is_said_ahead() -> None:
    pull = step("p", operation=PullImage("i", "r"))
    load = replace(step("l", "p", host="b", operation=PullImage("j", "r")), bytes=7)
    there = replace(step("t", operation=PullImage("k", "r")), bytes=0)
    assert transfers_ahead([pull, load, there, step("c")]) == {"p": ("a", None), "l": ("b", 7)}
