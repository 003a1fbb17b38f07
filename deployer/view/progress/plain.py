"""Progress as plain lines, for pipes and CI: each begins with its host, and none is silent for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import assert_never

from deployer.values.events import (
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
    TransfersAhead,
)
from deployer.view.diagnostics import render_diagnostic
from deployer.view.measures import render_seconds
from deployer.view.page import Page, Span, Style
from deployer.view.progress.board import Board, Running

SILENCE = 10.0  # seconds after which a running step says again what it does


class PlainReporter:
    """Writes pages as events come; a thread repeats what still runs. Safe to call from any thread."""

    def __init__(self, write: Callable[[Page], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._board = Board()
        self._summed: float | None = None  # when all transfers together were last told, or the first one began
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="progress", daemon=True)

    def __enter__(self) -> PlainReporter:
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._heart.join()

    def _beat(self) -> None:
        while not self._stopped.wait(1.0):
            self.tick()

    def emit(self, event: Event) -> None:
        with self._lock:
            self._board.note(event, self._clock())
            page = render_event(event)
            if page.lines:
                self._write(page)

    def tick(self) -> None:
        """Says again what has run in silence for `SILENCE` seconds."""
        with self._lock:
            now = self._clock()
            silent = [r for r in self._board.running.values() if now - r.spoken >= SILENCE]
            page = Page()
            for running in silent:
                running.spoken = now
                page.extend(render_running(running, now))
            page.extend(self._sums(now))
            if page.lines:
                self._write(page)

    def _sums(self, now: float) -> Page:
        """Of several transfers, of each host and in all: as often as one of them is told, however many there are."""
        page, told = Page(), self._board.transfers.told(now)
        if not told or self._summed is None:
            self._summed = now if told else None
        elif now - self._summed >= SILENCE:
            self._summed = now
            for host, together in told.items():
                page.line(f"{host}: in all: {together}" if host else f"in all: {together}")
        return page


def render_running(running: Running, now: float) -> Page:
    page = Page()
    text = running.wait(now) if running.waiting or not running.progress else running.state(now)
    page.line(f"{running.host}: still: {text}")
    if running.last_line:
        page.line(f"{running.host}:   ", Span(f"| {running.last_line}", Style.DIM))
    return page


def render_event(event: Event) -> Page:
    """What an event says when it comes; progress and waits are told by `tick`."""
    page = Page()
    match event:
        case StepStarted(host=host, what=what):
            page.line(f"{host}: {what} ...")
        case StepProgress() | StepWaiting() | TransfersAhead():
            pass
        case StepDone(host=host, what=what, seconds=seconds, detail=detail):
            said = f": {detail}" if detail else ""
            page.line(f"{host}: ", Span("done", Style.ADDED), f" {what} ({render_seconds(seconds)}){said}")
        case StepFailed(host=host, what=what, seconds=seconds, diagnostic=diagnostic):
            page.line(f"{host}: ", Span("FAILED", Style.ERROR), f" {what} ({render_seconds(seconds)})")
            page.extend(prefixed(host, render_diagnostic(diagnostic)))
        case StepSkipped(host=host, what=what, because=because):
            page.line(f"{host}: ", Span("skipped", Style.WARNING), f" {what} ({_why(because)})")
        case StepUndoing(host=host, what=what):
            page.line(f"{host}: undoing: {what} ...")
        case StepUndone():
            page.extend(_render_undone(event))
        case Note(host=host, what=what):
            page.line(f"{host}: {what}" if host else what)
        case _:
            assert_never(event)
    return page


def _why(because: str) -> str:
    return because if because == "interrupted" else f"because of step {because}"


def _render_undone(event: StepUndone) -> Page:
    page = Page()
    if event.diagnostic is None:
        page.line(f"{event.host}: ", Span("undone", Style.CHANGED), f" {event.what}")
    else:
        page.line(f"{event.host}: ", Span("COULD NOT UNDO", Style.ERROR), f" {event.what}")
        page.extend(prefixed(event.host, render_diagnostic(event.diagnostic)))
    return page


def prefixed(host: str, page: Page) -> Page:
    """Each line behind its host, so that lines of several hosts can be told apart."""
    return Page([(f"{host}: ", *line) for line in page.lines])
