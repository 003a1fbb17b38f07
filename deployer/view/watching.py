"""What `watch` prints: a line for each thing it tells."""

from __future__ import annotations

from typing import Any

from deployer.formats.text import one_line
from deployer.values.codec import to_data
from deployer.values.watching import Told
from deployer.view.diagnostics import diagnostic_json
from deployer.view.measures import render_seconds
from deployer.view.page import Page, Span, Style

LONGEST = 500  # characters
STYLES = {
    "repaired": Style.ADDED, "failed": Style.REMOVED, "problem": Style.REMOVED, "repairing": Style.CHANGED,
}  # fmt: skip


def render_told(told: Told, time: str) -> Page:
    """One line, however long what was said."""
    page = Page()
    about = " on ".join(filter(None, (told.replica, told.host)))
    style, said = STYLES.get(told.kind), one_line(" ".join(filter(None, (about, _said(told)))), LONGEST)
    page.line(f"{time}  ", Span(told.kind, style) if style is not None else told.kind, f"  {said}")
    return page


def _said(told: Told) -> str:
    took = f"answers again after {render_seconds(told.seconds)}" if told.kind == "repaired" and told.seconds else ""
    again = f"tried again in {render_seconds(told.again)}" if told.again is not None else ""
    return "; ".join(filter(None, (told.why, took, again)))


def told_json(told: Told, time: str) -> dict[str, Any]:
    data: dict[str, Any] = {"time": time, "event": told.kind, **to_data(told)}
    del data["kind"]
    return data | {"problem": diagnostic_json(told.problem) if told.problem is not None else None}
