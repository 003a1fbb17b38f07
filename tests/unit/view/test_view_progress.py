"""One stream of events, told as plain lines, as JSON and as live rows."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployer.errors import Diagnostic
from deployer.values.events import (
    ApplyResult,
    Event,
    Note,
    StepDone,
    StepFailed,
    StepProgress,
    StepSkipped,
    StepStarted,
    StepUndoing,
    StepUndone,
    StepWaiting,
)
from deployer.view.page import Page
from deployer.view.progress.board import Running
from deployer.view.progress.json_lines import JsonReporter, event_json, result_json
from deployer.view.progress.live import LiveReporter, bar, row_of
from deployer.view.progress.plain import PlainReporter

PROBLEM = Diagnostic("exited", "container `x` exited with code 1", evidence=("boom",), hint="read its log")
EVERY: tuple[Event, ...] = (
    StepStarted("1", "a", "pull image i"),
    StepProgress("1", "a", "pull image i, 1 of 2 layers", 5, 10),
    StepWaiting("1", "a", "wait until x is ready", 3.0, 60.0, "loading"),
    StepDone("1", "a", "pull image i", 2.0, "said hello"),
    StepFailed("2", "a", "start", 1.0, PROBLEM),
    StepSkipped("3", "a", "probe", "2"),
    StepUndoing("2", "a", "remove"),
    StepUndone("2", "a", "remove"),
    StepUndone("2", "a", "remove", PROBLEM),
    Note("locked", "a"),
    Note("looking"),
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def told(events: list[tuple[float, Event | None]]) -> list[str]:
    """Lines of a plain reporter; None: only time passes and the heart beats."""
    clock, pages = Clock(), list[Page]()
    reporter = PlainReporter(pages.append, clock)
    for seconds, event in events:
        clock.now = 1000.0 + seconds
        if event is not None:
            reporter.emit(event)
        reporter.tick()
    return "".join(page.render() for page in pages).splitlines()


def test_a_wait_is_told_every_ten_seconds_with_the_last_line() -> None:
    wait = "wait until x is ready"
    events: list[tuple[float, Event | None]] = [(0, StepStarted("1", "a", wait))]
    events += [(s, StepWaiting("1", "a", wait, s, 600, f"line {s}\x1b[0m")) for s in range(1, 25)]
    events += [(25, StepDone("1", "a", wait, 25))]
    assert told(events) == [
        "a: wait until x is ready ...",
        "a: still: wait until x is ready: 10 s of at most 10m 00s",
        "a:   | line 10",
        "a: still: wait until x is ready: 20 s of at most 10m 00s",
        "a:   | line 20",
        "a: done wait until x is ready (25 s)",
    ]


def test_a_step_that_reports_nothing_is_not_silent() -> None:
    assert told([(0, StepStarted("1", "a", "start x")), (9, None), (10, None), (15, None), (20, None)]) == [
        "a: start x ...",
        "a: still: start x: 10 s",
        "a: still: start x: 20 s",
    ]


def test_undoing_is_not_silent_either() -> None:
    stop = StepUndoing("1", "a", "stop x")
    assert told([(0, stop), (10, None), (11, StepUndone("1", "a", "stop x")), (30, None)]) == [
        "a: undoing: stop x ...",
        "a: still: undoing: stop x: 10 s",
        "a: undone stop x",
    ]


def test_a_pull_tells_bytes() -> None:
    lines = told(
        [
            (0, StepStarted("1", "a", "pull i")),
            (5, StepProgress("1", "a", "pull i, 3 of 7 layers", 120 * 2**20, 2**30)),
            (10, None),
        ]
    )
    assert lines[1] == "a: still: pull i, 3 of 7 layers: 120 MiB of 1 GiB, 10 s"


def test_every_line_begins_with_its_host() -> None:
    lines = told([(0, event) for event in EVERY])
    assert all(line.startswith("a: ") for line in lines[:-1])
    assert lines[-1] == "looking"
    assert "a: hint: read its log" in lines


def test_json_lines_have_the_promised_keys() -> None:
    lines: list[str] = []
    clock = Clock()
    reporter = JsonReporter(lines.append, clock)
    for event in EVERY:
        reporter.emit(event)
    reporter.say("summary", ok=True)
    for line in lines:
        data = json.loads(line)
        assert list(data)[:4] == ["time", "event", "step", "host"]
    assert json.loads(lines[0])["time"] == "1970-01-01T00:16:40.000Z"
    assert json.loads(lines[-1]) == {
        "time": "1970-01-01T00:16:40.000Z", "event": "summary", "step": None, "host": None, "ok": True,
    }  # fmt: skip


def test_json_progress_is_thinned_but_the_outcome_never() -> None:
    lines: list[str] = []
    clock = Clock()
    reporter = JsonReporter(lines.append, clock)
    for i in range(100):
        clock.now = 1000 + i / 100
        reporter.emit(StepProgress("1", "a", "pull", i, 100))
    reporter.emit(StepDone("1", "a", "pull", 1))
    assert [json.loads(line)["event"] for line in lines] == ["step-progress", "step-done"]


def test_a_failed_step_carries_its_diagnostic() -> None:
    data = event_json(EVERY[4])
    assert data["diagnostic"]["code"] == "exited"
    assert data["diagnostic"]["evidence"] == ["boom"]


def test_the_summary_counts_and_lists_what_failed() -> None:
    done, failed, skipped = EVERY[3], EVERY[4], EVERY[5]
    assert isinstance(done, StepDone)
    assert isinstance(failed, StepFailed)
    assert isinstance(skipped, StepSkipped)
    data = result_json(ApplyResult("id", {"1": done, "2": failed, "3": skipped}))
    assert data["ok"] is False
    assert data["steps"] == {"done": 1, "failed": 1, "skipped": 1}
    assert [f["step"] for f in data["failed"]] == ["2"]


def test_plain_lines_of_many_threads_are_whole() -> None:
    pages: list[Page] = []
    reporter = PlainReporter(pages.append, Clock())
    with reporter, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: reporter.emit(StepStarted(str(i), f"h{i}", "start")), range(200)))
    lines = {page.render() for page in pages}
    assert lines == {f"h{i}: start ...\n" for i in range(200)}


def test_live_draws_what_runs_and_leaves_what_is_done() -> None:
    stream = io.StringIO()
    with LiveReporter(stream, colour=False) as reporter:
        for event in EVERY:
            reporter.emit(event)
    assert "a: done pull image i (2.0 s): said hello" in stream.getvalue()
    assert "error[exited]" in stream.getvalue()


@pytest.mark.parametrize(("done", "total", "drawn"), [(0, None, ""), (5, 10, "#" * 12 + "." * 12), (20, 10, "#" * 24)])
def test_bar(done: int, total: int | None, drawn: str) -> None:
    assert bar(done, total).strip("[]") == drawn


def test_a_row_tells_how_far_a_step_is() -> None:
    running = Running("1", "a", "pull i", since=0, spoken=0)
    assert row_of(running, 5) == ("a", "pull i", "5.0 s")
    running.progress = StepProgress("1", "a", "pull i", 1024, 2048)
    assert row_of(running, 5)[2] == "[############............] 1 KiB of 2 KiB  5.0 s"
    running.waiting = StepWaiting("1", "a", "wait", 5, 60, "log \x1b[2J")
    assert row_of(running, 5)[2] == "5.0 s of at most 1m 00s  log "
