"""Rates and what is left: true ones, also of what goes on from a part."""

from __future__ import annotations

from deployer.values.events import StepDone, StepProgress, StepSkipped, StepStarted, TransfersAhead
from deployer.view.page import Page
from deployer.view.progress.board import Board
from deployer.view.progress.plain import PlainReporter
from deployer.view.progress.speed import Speed, render_speed

MIB = 1 << 20


def fed(*looks: tuple[float, int], total: int | None = 1000 * MIB) -> Speed:
    speed = Speed()
    for now, done in looks:
        speed.note(now, done, total)
    return speed


def test_what_was_there_before_is_no_speed() -> None:
    assert render_speed([fed((0, 900 * MIB), (10, 950 * MIB))], 10) == "5 MiB/s, 10 s left"


def test_the_last_seconds_count() -> None:
    speed = fed(*((float(now), now * MIB) for now in range(100)), (110.0, 299 * MIB), (120.0, 499 * MIB))
    assert render_speed([speed], 120) == "19 MiB/s, 26 s left"


def test_a_transfer_that_stands_still_slows_down() -> None:
    speed = fed((0, 0), (10, 100 * MIB))
    assert render_speed([speed], 10) == "10 MiB/s, 1m 30s left"
    assert render_speed([speed], 100) == "1 MiB/s, 15m 00s left"


def test_nothing_is_said_too_early_nor_left_of_what_has_no_end() -> None:
    assert render_speed([fed((0, 0), (1, 100))], 1) == ""
    assert render_speed([fed((0, 0), (10, 100 * MIB), total=None)], 10) == "10 MiB/s"


def test_what_begins_anew_begins_anew() -> None:
    assert render_speed([fed((0, 0), (10, 500 * MIB), (11, 0), (21, 10 * MIB))], 21) == "1 MiB/s, 16m 30s left"


def board_of(**ahead: tuple[str, int]) -> Board:
    board = Board()
    if ahead:
        board.note(TransfersAhead(ahead), 0.0)
    return board


def begun(board: Board, step: str, host: str, rate: int) -> None:
    board.note(StepStarted(step, host, "fetch m"), 0.0)
    for now in (0, 10):
        board.note(StepProgress(step, host, "fetch m", now * rate * MIB, 1000 * MIB), float(now))


def test_several_hosts_have_a_line_together() -> None:
    board = board_of()
    begun(board, "1", "a", 10)
    begun(board, "2", "b", 30)
    assert board.transfers.told(10.0) == {"": "400 MiB of 2 GiB, 40 MiB/s, 40 s left"}


def test_what_comes_later_and_what_came_before_count_in_all() -> None:
    board = board_of(s1=("a", 1000 * MIB), s2=("a", 1000 * MIB), s3=("b", 1000 * MIB))
    for step in ("s1", "s2"):
        begun(board, step, "a", 10)
    begun(board, "read", "a", 500)  # of the host's own disk
    board.note(StepDone("s1", "a", "fetch m", 10.0), 10.0)
    assert board.transfers.told(10.0) == {
        "a": "1.1 GiB of 2 GiB, 10 MiB/s, 1m 30s left",
        "": "1.1 GiB of 2.9 GiB, 10 MiB/s, 3m 10s left",
    }


def test_what_was_there_already_or_failed_is_no_transfer() -> None:
    board = board_of(s1=("a", 1000 * MIB), s2=("b", 1000 * MIB), s3=("c", 1000 * MIB))
    begun(board, "s1", "a", 10)
    begun(board, "s3", "c", 10)
    board.note(StepDone("s2", "b", "fetch m", 0.1, "was there already"), 1.0)
    board.note(StepSkipped("s3", "c", "fetch m", "interrupted"), 1.0)
    assert board.transfers.told(10.0) == {}


def test_of_what_has_no_plan_only_what_comes_at_once_is_summed_up() -> None:
    board = board_of()
    begun(board, "1", "a", 10)
    board.note(StepDone("1", "a", "fetch m", 10.0), 10.0)
    begun(board, "2", "a", 10)
    assert board.transfers.told(10.0) == {}


def test_plain_lines_say_it_each_ten_seconds() -> None:
    clock, pages = [0.0], []
    reporter = PlainReporter(pages.append, lambda: clock[0])
    for host in ("a", "b"):
        reporter.emit(StepStarted(host, host, "fetch m"))
    for second in range(11):
        clock[0] = float(second)
        for host in ("a", "b"):
            reporter.emit(StepProgress(host, host, "fetch m", second * MIB, 100 * MIB))
        reporter.tick()
    lines = [line for page in pages[2:] for line in Page(page.lines).render(colour=False).splitlines()]
    assert lines == [
        "a: still: fetch m: 10 MiB of 100 MiB, 1 MiB/s, 1m 30s left, 10 s",
        "b: still: fetch m: 10 MiB of 100 MiB, 1 MiB/s, 1m 30s left, 10 s",
        "in all: 20 MiB of 200 MiB, 2 MiB/s, 1m 30s left",
    ]
