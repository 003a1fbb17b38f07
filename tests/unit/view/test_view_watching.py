"""What a watch tells: one line of each kind, and the same as JSON."""

from __future__ import annotations

from typing import get_args

import pytest

from deployer.errors import Diagnostic
from deployer.values.watching import Kind, Told
from deployer.view.watching import LONGEST, render_told, told_json

TIME = "2026-01-01T00:00:00Z"
PROBLEM = Diagnostic("exited", "container `x` exited with code 1", evidence=("boom",), hint="read its log", host="h1")
EACH = {
    "watching": (Told("watching", "project `demo`, every 60 s"), "project `demo`, every 60 s"),
    "serving": (Told("serving", "2 replicas"), "2 replicas"),
    "repairing": (Told("repairing", "its container is gone", "chat-0", "h1"), "chat-0 on h1 its container is gone"),
    "repaired": (Told("repaired", "", "chat-0", "h1", 12.0), "chat-0 on h1 answers again after 12 s"),
    "failed": (
        Told("failed", PROBLEM.message, "chat-0", "h1", 3.0, 40.0, PROBLEM),
        "chat-0 on h1 container `x` exited with code 1; tried again in 40 s",
    ),
    "left-alone": (Told("left-alone", "is held", "chat-0", "h1"), "chat-0 on h1 is held"),
    "busy": (Told("busy", "ada@desk is applying"), "ada@desk is applying"),
    "problem": (Told("problem", "no answer", host="h1", problem=PROBLEM), "h1 no answer"),
}


def test_no_kind_is_forgotten() -> None:
    assert set(EACH) == set(get_args(Kind))


@pytest.mark.parametrize(("told", "said"), EACH.values(), ids=EACH)
def test_a_line_of_each_kind(told: Told, said: str) -> None:
    assert render_told(told, TIME).render() == f"{TIME}  {told.kind}  {said}\n"


@pytest.mark.parametrize(("told", "said"), EACH.values(), ids=EACH)
def test_json_of_each_kind(told: Told, said: str) -> None:
    data = told_json(told, TIME)
    assert (data.pop("time"), data.pop("event")) == (TIME, told.kind)
    problem = data.pop("problem")
    assert (problem["code"] if problem else None) == (told.problem.code if told.problem else None)
    there = {name: getattr(told, name) for name in ("why", "replica", "host", "seconds", "again")}
    assert data == {name: value for name, value in there.items() if value not in (None, "")}


def test_it_stays_one_line_whatever_a_host_said() -> None:
    text = render_told(Told("problem", "a\nb\x1b[31m" + "x" * 2 * LONGEST), TIME).render()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert len(text) < LONGEST + 60
