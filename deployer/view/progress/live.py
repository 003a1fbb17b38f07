"""Progress as live bars on a terminal: what is done scrolls up, what runs is redrawn below."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from deployer.values.events import Event, StepStarted, StepUndoing
from deployer.view.measures import render_seconds
from deployer.view.page import printable, render_line
from deployer.view.progress.board import Board, Running
from deployer.view.progress.plain import render_event

if TYPE_CHECKING:
    from rich.console import RenderableType

ROWS = 12  # running steps that are drawn; of the others their number
BAR = 24  # columns


class LiveReporter:
    """Draws on `stream`; the terminal is given back as it was. Safe to call from any thread."""

    def __init__(self, stream: TextIO, *, colour: bool, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.live import Live

        self._clock, self._colour = clock, colour
        self._board = Board()
        self._lock = threading.Lock()
        self._console = Console(file=stream, no_color=not colour, highlight=False, markup=False, emoji=False)
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> LiveReporter:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def emit(self, event: Event) -> None:
        from rich.text import Text

        with self._lock:
            self._board.note(event, self._clock())
        if isinstance(event, StepStarted | StepUndoing):
            return
        for line in render_event(event).lines:
            self._console.print(Text.from_ansi(render_line(line, colour=self._colour)), soft_wrap=True)

    def _draw(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            rows = list(self._board.running.values())
            now = self._clock()
            cells = [row_of(running, now) for running in rows[:ROWS]]
            sums = self._board.transfers.told(now)
        table = Table.grid(padding=(0, 1))
        for _ in range(3):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for host, what, state in cells:
            table.add_row(Text(host, style="bold"), Text(what), Text(state, style="dim"))
        for host, together in sums.items():
            table.add_row(Text(printable(host), style="bold"), Text("in all"), Text(together, style="dim"))
        if len(rows) > ROWS:
            table.add_row("", Text(f"and {len(rows) - ROWS} more"), "")
        return table


def row_of(running: Running, now: float) -> tuple[str, str, str]:
    """Host, what it does, and how far it is: a bar, or the seconds of a wait with the container's last line."""
    elapsed = render_seconds(now - running.since)
    if running.waiting is not None:
        line = f"  {running.last_line}" if running.last_line else ""
        state = f"{elapsed} of at most {render_seconds(running.waiting.limit)}{line}"
    elif running.progress is not None:
        state = f"{bar(running.progress.done, running.progress.total)} {running.amount(now)}  {elapsed}"
    else:
        state = elapsed
    return printable(running.host), printable(running.what), printable(state)


def bar(done: int, total: int | None) -> str:
    if not total:
        return ""
    filled = min(BAR, BAR * done // total)
    return "[" + "#" * filled + "." * (BAR - filled) + "]"
