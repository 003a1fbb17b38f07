"""Diagnostics as text and as JSON: one look for every problem, wherever it was found."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from deployer.errors import Diagnostic, Severity, Where
from deployer.view.page import Page, Span, Style

STYLES = {Severity.ERROR: Style.ERROR, Severity.WARNING: Style.WARNING, Severity.INFO: Style.INFO}
WINDOW = 100  # columns of a long line that are shown around the place


def render_diagnostic(diagnostic: Diagnostic) -> Page:
    page = Page()
    head = Span(f"{diagnostic.severity}[{diagnostic.code}]", STYLES[diagnostic.severity])
    page.line(head, f": {diagnostic.message}")
    gutter = " " * max(2, len(str(diagnostic.where.line)) if diagnostic.where else 0)
    if diagnostic.where is not None:
        _add_place(page, diagnostic.where, gutter)
    for evidence in diagnostic.evidence:
        for line in evidence.splitlines() or [""]:
            page.line(Span(f"{gutter} | ", Style.DIM), line)
    if diagnostic.hint:
        page.line(Span("hint", Style.HINT), f": {diagnostic.hint}")
    return page


def render_diagnostics(diagnostics: Iterable[Diagnostic]) -> Page:
    """All of them, a blank line between two."""
    page = Page()
    for diagnostic in diagnostics:
        page.blank()
        page.extend(render_diagnostic(diagnostic))
    return page


def _add_place(page: Page, where: Where, gutter: str) -> None:
    key = f"  {where.key}" if where.key else ""
    page.line(Span(f"{gutter}-->", Style.DIM), f" {where}{key}")
    if not where.text.strip():
        return
    start = max(0, where.column - 1 - WINDOW // 2) if len(where.text) > WINDOW else 0
    text = where.text[start : start + WINDOW]
    page.line(Span(f"{where.line:>{len(gutter)}} | ", Style.DIM), text)
    before = text[: max(0, where.column - 1 - start)]
    page.line(Span(f"{gutter} | ", Style.DIM), " " * columns(before), Span("^", STYLES[Severity.ERROR]))


def columns(text: str) -> int:
    """Terminal columns that the text takes: East Asian wide characters take two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) != 0 for char in text)


def diagnostic_json(diagnostic: Diagnostic) -> dict[str, Any]:
    where = diagnostic.where
    return {
        "severity": str(diagnostic.severity),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "where": {"file": where.file, "line": where.line, "column": where.column, "key": where.key} if where else None,
        "evidence": list(diagnostic.evidence),
        "hint": diagnostic.hint,
        "host": diagnostic.host,
    }
