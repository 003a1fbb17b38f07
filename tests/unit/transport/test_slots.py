"""The few sessions of a connection are shared out, and the limit learnt."""

from __future__ import annotations

import threading
import time

from deployer.transport.slots import Slot, Slots


def test_no_more_than_the_limit() -> None:
    slots = Slots(2)
    assert slots.acquire(0)
    assert slots.acquire(0)
    started = time.monotonic()
    assert not slots.acquire(0.05)
    assert time.monotonic() - started < 1
    slots.release()
    assert slots.acquire(0)


def test_a_waiter_gets_what_is_released() -> None:
    slots = Slots(1)
    assert slots.acquire(0)
    threading.Timer(0.05, slots.release).start()
    assert slots.acquire(5)


def test_a_refusal_lowers_the_limit_to_what_others_hold() -> None:
    slots = Slots(8)
    for _ in range(4):
        assert slots.acquire(0)
    assert slots.shrink()  # the fourth was refused: three are open
    assert not slots.acquire(0)
    for _ in range(3):
        slots.release()
    assert [slots.acquire(0) for _ in range(4)] == [True, True, True, False]


def test_a_refusal_with_nothing_else_open_says_so_and_leaves_one() -> None:
    slots = Slots(8)
    assert slots.acquire(0)
    assert not slots.shrink()
    assert slots.acquire(0)
    assert not slots.acquire(0)


def test_a_slot_is_given_back_once() -> None:
    slots = Slots(1)
    assert slots.acquire(0)
    slot = Slot(slots)
    slot.release()
    slot.release()
    assert not slot.shrink()
    assert slots.acquire(0)
    assert not slots.acquire(0)
