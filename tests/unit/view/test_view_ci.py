"""Whatever hosts, images, containers and models say: no CI service finds a command of its own in what is shown."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployer.engine.redaction import clean
from deployer.values.answers import ReplicaAnswer
from deployer.values.names import ReplicaKey
from deployer.view.answers import answers_json, render_answer
from deployer.view.history import history_json, render_history
from deployer.view.json_text import render_json
from deployer.view.log_lines import log_line_json, render_log_line
from deployer.view.page import Page
from deployer.view.plan_json import plan_json
from deployer.view.plan_markdown import render_markdown
from deployer.view.plan_text import render_plan
from deployer.view.progress.json_lines import event_json
from deployer.view.progress.plain import render_event
from deployer.view.spoken import Spoken
from deployer.view.status import Status, status_json
from deployer.view.status_text import render_status
from deployer.view.unlocking import render_locks
from deployer.view.watching import render_told, told_json
from tests.unit.view.hostile import NASTY, hostile_plan
from tests.unit.view.test_view_history import DONE, HELD
from tests.unit.view.test_view_progress import EVERY, PROBLEM
from tests.unit.view.test_view_status import STATUS
from tests.unit.view.test_view_watching import EACH, TIME

# GitHub: actions/runner ActionCommand.cs; Azure: its logging commands; TeamCity: its service messages;
# GitLab: lib/gitlab/regex.rb, `build_trace_section_regex`.
COMMANDS = re.compile(
    r"^\s*::|##\[|##vso\[|##teamcity\[|section_(?:start|end):\d+:[\w.-]+(?:\[[^\]]*\])?\r\x1b\[0K", re.MULTILINE
)
CI = ("::set-env name=PATH::/evil", " \t\u00a0::add-mask::x", "\n::stop-commands::y", "##[set-env name=A]b",
      "##vso[task.x]", "##teamcity[x]", "section_start:1700000000:name[collapsed=true]\r\x1b[0Kx",
      "a\r::error::x", "#", "##", "[x]",
      ":", "::", "\u2028::warning::x", "x\x85::error::y")  # fmt: skip
texts = st.lists(st.sampled_from([*CI, *NASTY]) | st.text("#:[]svo\n\r\t \x1b a", max_size=12), min_size=1, max_size=9)


def saying(value: Any, words: Iterator[str]) -> Any:
    """The same value, with every text in it one of these words."""
    if isinstance(value, enum.Enum) or not value:
        return value
    if isinstance(value, str):
        return next(words)
    if isinstance(value, Mapping):
        return {key: saying(item, words) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(saying(item, words) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = ("kind",)  # one of a few words of ours
        given = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return type(value)(**{n: v if n in kept else saying(v, words) for n, v in given.items()})
    return value


def shown(said: list[str]) -> Iterator[str | Page]:
    """Everything that is printed of what is foreign."""
    words, plan = cycle(said), hostile_plan(said)
    yield from (render_plan(plan, steps=True, verbose=True), render_markdown(plan), render_json(plan_json(plan)))
    status: Status = saying(STATUS, words)
    yield from (render_status(status), render_json(status_json(status)))
    past = saying(DONE, words)
    yield from (render_history(next(words), [past]), render_json(history_json("demo", [past])))
    yield render_locks("demo", saying(HELD, words))
    for event in saying(EVERY, words):
        yield from (render_event(event), render_json(event_json(event), indent=None))
    for told in saying(tuple(told for told, _ in EACH.values()), words):
        yield from (render_told(told, TIME), render_json(told_json(told, TIME), indent=None))
    for problem in (None, saying(PROBLEM, words)):
        answer = ReplicaAnswer(ReplicaKey("chat", 0), next(words), next(words), 1.0, next(words), problem)
        yield from (render_answer(answer), render_json(answers_json([answer])))
    for width in (0, 9):
        yield render_log_line(next(words), clean(next(words)), width)
    yield log_line_json(next(words), next(words), next(words))


@settings(deadline=None, max_examples=30)
@given(texts)
@example(list(CI))
def test_nothing_that_is_shown_is_a_command(said: list[str]) -> None:
    for one in shown(said):
        text = one.render() if isinstance(one, Page) else one
        assert not COMMANDS.search(text), text
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


@pytest.mark.parametrize("text", CI[:7])
def test_a_command_would_be_seen(text: str) -> None:
    assert COMMANDS.search(text)


@settings(deadline=None, max_examples=50)
@given(texts, st.lists(st.integers(1, 9), min_size=1))
def test_an_answer_in_pieces_is_no_command_and_says_the_same(said: list[str], sizes: list[int]) -> None:
    """Wherever it is cut."""
    whole = "".join(said).replace("\r", "").replace("\x1b", "").replace("\\", "")
    spoken, text, left = Spoken(), "", whole
    for size in cycle(sizes):
        text += spoken.add(left[:size])
        left = left[size:]
        if not left:
            break
    text += spoken.end()
    assert not COMMANDS.search(text)
    assert text.replace("\\", "") == whole


def test_what_is_no_command_is_shown_as_it_comes() -> None:
    spoken = Spoken()
    assert [spoken.add(piece) for piece in ("# Head", "\n", "a::b", " c", "\n## Next\n")] == [
        "# Head", "\n", "a::b", " c", "\n## Next\n",
    ]  # fmt: skip
    assert spoken.end() == ""
