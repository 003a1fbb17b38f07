"""Acts on many hosts: each once, so many at once and no more, and one that hangs holds up no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

import pytest

from deployer.engine.fanout import Crew, on_each
from deployer.errors import Diagnostic, HostError

LONG = 20.0  # seconds for what happens at once


class Crowd:
    """Counts who is inside at once; nobody leaves before `most` were."""

    def __init__(self, most: int) -> None:
        self._most, self._inside, self._changed = most, 0, threading.Condition()
        self.seen = 0

    def visit(self) -> None:
        with self._changed:
            self._inside += 1
            self.seen = max(self.seen, self._inside)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.seen >= self._most, LONG)
            self._inside -= 1


def test_each_host_gives_what_it_returned_or_raised() -> None:
    def act(host: str) -> str:
        if host == "b":
            raise HostError(Diagnostic("unreachable", "b is gone", host="b"))
        return host.upper()

    found = on_each(["c", "a", "b", "a"], act)
    assert list(found) == ["a", "b", "c"]
    assert (found["a"], found["c"]) == ("A", "C")
    assert isinstance(found["b"], HostError)


def test_a_defect_is_raised_after_all_are_done() -> None:
    done: list[str] = []

    def act(host: str) -> None:
        done.append(host)
        if host == "a":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        on_each("abc", act)
    assert sorted(done) == ["a", "b", "c"]


def test_so_many_hosts_at_once_and_no_more() -> None:
    crowd = Crowd(4)
    on_each(map(str, range(40)), lambda host: crowd.visit(), at_once=4)
    assert crowd.seen == 4


def test_a_crew_performs_every_act_with_so_many_threads_and_no_more() -> None:
    crowd, done = Crowd(4), SimpleQueue[int]()

    def act(number: int) -> Callable[[], None]:
        def visit() -> None:
            crowd.visit()
            done.put(number)

        return visit

    crew = Crew("crew", at_once=4)
    for number in range(40):
        crew.add(act(number))
    assert sorted(done.get(timeout=LONG) for _ in range(40)) == list(range(40))
    assert crowd.seen == 4


def test_a_crew_whose_threads_ended_begins_anew() -> None:
    crew, done = Crew("crew-anew", at_once=2), SimpleQueue[int]()
    for number in range(20):
        crew.add(lambda number=number: done.put(number))  # type: ignore[misc]
        assert done.get(timeout=LONG) == number


def test_an_act_that_hangs_holds_up_no_other() -> None:
    crew, done, free = Crew("crew-hangs", at_once=2), SimpleQueue[int](), threading.Event()
    crew.add(lambda: free.wait(LONG))
    for number in range(10):
        crew.add(lambda number=number: done.put(number))  # type: ignore[misc]
    assert sorted(done.get(timeout=LONG) for _ in range(10)) == list(range(10))
    free.set()
