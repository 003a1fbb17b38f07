"""The laws hold for the real executor too: its threads, its undoing, its answer to Ctrl-C."""

from __future__ import annotations

import os
import threading
from random import Random

from hypothesis import HealthCheck, given, reject, settings

from deployer.engine.execute import execute
from deployer.engine.interrupt import InterruptFlag
from deployer.engine.watch import Watch
from deployer.errors import Diagnostic, OperationError
from deployer.values.events import StepDone
from deployer.values.operations import Operation
from deployer.values.plan import Action, Plan
from tests.properties.cases import Case, Planner, cases
from tests.properties.laws import Unplaceable, converges, plan_of, ready_keys, settle
from tests.properties.oracle import is_as_asked
from tests.support.world import LawBroken, StepFails, World

few = settings(
    max_examples=max(5, int(os.environ.get("DEPLOYER_EXAMPLES", "25")) // 3),
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=list(HealthCheck),
)


def carry_out(found: Plan, world: World, interrupt_at: int | None = None) -> dict[str, object]:
    """Runs the plan's steps on the world; asks to stop when that many operations were begun."""
    lock, flag, begun, broken = threading.Lock(), InterruptFlag(), [0], list[LawBroken]()
    world.apply += 1

    def perform(host: str, operation: Operation, watch: Watch) -> str:
        with lock:
            begun[0] += 1
            if begun[0] == interrupt_at:
                flag.request()
            try:
                world.perform(host, operation)
            except StepFails as error:
                raise OperationError(Diagnostic("failed", str(error))) from None
            except LawBroken as error:
                broken.append(error)
                raise
        return ""

    outcomes = dict(execute(found.steps, perform, lambda event: None, flag))
    assert broken == []
    return outcomes


@few
@given(case=cases)
def test_a_plan_is_carried_out(case: Case) -> None:
    world = case.world()
    try:
        for wish in (case.before, case.after):
            outcomes = carry_out(plan_of(Planner(), wish, world), world)
            assert all(isinstance(o, StepDone) for o in outcomes.values())
            assert is_as_asked(wish, world) == []
    except Unplaceable:
        reject()


@few
@given(case=cases)
def test_an_interrupted_apply_loses_nothing_and_the_next_one_carries_on(case: Case) -> None:
    world, chance = case.world(), case.chance()
    try:
        settle(Planner(), case.before, world, chance)
        found = plan_of(Planner(), case.after, world)
    except Unplaceable:
        reject()
    before, gone = ready_keys(world), gone_of(found)
    carry_out(found, world, interrupt_at=chance.randint(1, len(found.steps) + 1))
    if not stops_on_failure(case):
        assert before - gone <= ready_keys(world)
        assert not [box.name for box in world.all_boxes if box.status == "created"]
    converges(Planner(), case.after, world, chance)


@few
@given(case=cases)
def test_a_failed_apply_loses_nothing_and_the_next_one_carries_on(case: Case) -> None:
    world, chance = case.world(), case.chance()
    try:
        settle(Planner(), case.before, world, chance)
        found = plan_of(Planner(), case.after, world)
    except Unplaceable:
        reject()
    before, gone = ready_keys(world), gone_of(found)
    world.fails = one_of(len(found.steps), chance)
    carry_out(found, world)
    world.fails = lambda host, operation: None
    if not stops_on_failure(case):
        assert before - gone <= ready_keys(world)
    converges(Planner(), case.after, world, chance)


def one_of(count: int, chance: Random) -> object:
    left = [chance.randint(0, count)]

    def fails(host: str, operation: Operation) -> str | None:
        left[0] -= 1
        return chance.choice(["before", "after"]) if left[0] == 0 else None

    return fails


def gone_of(found: Plan) -> set[object]:
    return {c.key for c in found.changes if c.action in (Action.REMOVE, Action.STOP)}


def stops_on_failure(case: Case) -> bool:
    return any(s["rollout"]["on_failure"] == "stop" for s in case.after.services.values())
