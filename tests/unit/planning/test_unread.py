"""A container of others that Docker cannot describe: a warning, and no claim that it does not have."""

from __future__ import annotations

from dataclasses import replace

from tests.support.plantext import problems_of
from tests.unit.planning.scene import CPU, Scene, a_stranger, ports_of, with_others


def test_it_is_a_warning_and_its_published_ports_count() -> None:
    broken = a_stranger("odd", unread="HTTP 500 no such layer", ports=(("0.0.0.0", 20000, "tcp"),))
    found = Scene({"h1": 0}, seen=with_others(broken)).plan({"chat": {"placement": CPU}})
    assert problems_of(found) == [
        "warning container-unread: host `h1`: Docker cannot describe containers of others, so the GPUs they were given "
        "are not known"
    ]
    assert found.problems[0].evidence == ("odd: HTTP 500 no such layer",)
    assert ports_of(found) == {"chat-0": 20001}


def test_many_are_counted() -> None:
    many = [a_stranger(f"odd-{n:02}", unread="HTTP 500") for n in range(12)]
    (problem,) = Scene({"h1": 0}, seen=with_others(*many)).plan({"chat": {"placement": CPU}}).problems
    assert problem.evidence[-1] == "... and 2 more"


def test_one_that_does_not_run_holds_nothing() -> None:
    stopped = replace(a_stranger("odd", unread="HTTP 500"), status="exited")
    assert not Scene({"h1": 0}, seen=with_others(stopped)).plan({"chat": {"placement": CPU}}).problems
