"""A container's log lines, made safe to show."""

from __future__ import annotations

from deployer.view.json_text import render_json
from deployer.view.page import Page, Span, Style


def render_log_line(replica: str, text: str, width: int) -> Page:
    """Behind the replica's name where lines of several are mixed (`width` above 0)."""
    page = Page()
    page.line(*((Span(f"{replica:<{width}} | ", Style.DIM),) if width else ()), Span(text, limit=None))
    return page


def log_line_json(replica: str, host: str, text: str) -> str:
    return render_json({"replica": replica, "host": host, "line": text}, indent=None)
