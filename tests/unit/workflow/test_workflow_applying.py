"""What was shown is what is done; what was done is what is there; and a signal is heard."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

from deployer.engine.interrupt import InterruptFlag
from deployer.errors import Diagnostic, InterruptedByUser, RefusedError
from deployer.values.events import Event, Note
from deployer.values.facts import ObservedState, Unreachable
from deployer.values.plan import Action, Cause, HostUse, Plan
from deployer.values.resolved import Resolved
from deployer.workflow.applying import mismatches, new_apply_id, refuse_moved, untouched
from deployer.workflow.orders import Orders
from deployer.workflow.session import Planned
from deployer.workflow.signals import interrupts
from tests.support.planning import project_of
from tests.unit.view.plans import a_plan, creation, impossible


def test_the_same_changes_are_done_even_if_facts_differ() -> None:
    shown = creation()
    refuse_moved(shown, replace(shown, hosts={"gpu-a": HostUse({}, "another")}, steps=shown.steps[1:]))


@pytest.mark.parametrize(
    "again",
    [
        a_plan(),
        replace(creation(), changes=(replace(creation().changes[0], host="gpu-b"),)),
        replace(creation(), changes=(replace(creation().changes[0], container="demo_chat_0_ffffffffffff"),)),
        replace(creation(), changes=(replace(creation().changes[0], action=Action.REPLACE),)),
        replace(creation(), problems=impossible().problems),
    ],
)
def test_other_changes_are_refused_by_name(again: Plan) -> None:
    with pytest.raises(RefusedError) as caught:
        refuse_moved(creation(), again)
    assert caught.value.exit_code == 3
    assert caught.value.diagnostics[0].code == "hosts-moved"


def test_the_evidence_names_both_sides() -> None:
    other = replace(creation(), changes=(replace(creation().changes[0], host="gpu-b"),))
    with pytest.raises(RefusedError) as caught:
        refuse_moved(creation(), other)
    assert caught.value.diagnostics[0].evidence == (
        "no longer: create chat-0 on gpu-a: is not there yet",
        "now also: create chat-0 on gpu-b: is not there yet",
    )


def test_an_apply_that_left_something_to_do_has_failed() -> None:
    assert [d.code for d in mismatches(creation())] == ["not-as-planned"]
    assert [d.code for d in mismatches(impossible())] == ["no-placement"]


def test_hosts_that_no_step_was_for_are_not_looked_at_again() -> None:
    facts = {
        name: Unreachable(name, Diagnostic("dark", "no answer", host=name)) for name in ("gpu-a", "gpu-b", "gpu-c")
    }
    steps = {step.host for step in creation().steps}
    planned = Planned(project_of({}), ObservedState(facts), Resolved(), creation())
    assert steps == {"gpu-a"}
    assert set(untouched(planned).hosts) == {"gpu-b", "gpu-c"}


def test_what_is_kept_or_waits_is_no_mismatch() -> None:
    kept = replace(creation().changes[0], action=Action.KEEP, cause=Cause.NONE)
    waiting = replace(creation().changes[0], action=Action.REPLACE, cause=Cause.DEFAULT)
    assert mismatches(a_plan(changes=(kept, waiting))) == ()


def test_apply_ids_sort_by_time_and_are_safe_in_a_path() -> None:
    first, second = new_apply_id(), new_apply_id()
    assert first.isalnum()
    assert first != second
    assert first[:16] <= second[:16]


def test_a_pause_ends_when_the_user_asks_to_stop() -> None:
    flag = InterruptFlag()
    orders = Orders(lambda event: None, flag)
    orders.pause(0.0)
    flag.request()
    began = time.monotonic()
    with pytest.raises(InterruptedByUser):
        orders.pause(30)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_stops(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    events: list[Event] = []
    seen: list[bool] = []

    def apply() -> None:
        with interrupts(events.append) as flag:
            os.kill(os.getpid(), number)
            seen.append(flag.is_set and not flag.is_urgent)
            os.kill(os.getpid(), number)
            seen.append(False)

    with pytest.raises(InterruptedByUser):
        apply()
    assert seen == [True]
    assert signal.getsignal(number) is before
    assert [type(e) for e in events] == [Note]
