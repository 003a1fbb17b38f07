"""Field-level differences as lines: a path, what it was, what it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployer.values.codec import to_data
from deployer.values.plan import FieldDiff
from deployer.values.secrets import SecretRef
from deployer.view.json_text import render_json
from deployer.view.measures import render_bytes
from deployer.view.page import Page, Span, Style

LONGEST_VALUE = 160
WIDEST_PATH = 40
SIZES = ("shm_size", "memory", "memory_swap")
FLAG = "command.-"


def render_diff(diff: Sequence[FieldDiff], indent: str) -> Page:
    """One line a difference; `+` and `-` where there was nothing before or is nothing after."""
    rows = [(_label(field.path), field) for field in diff]
    width = min(max((len(label) for label, _ in rows), default=0), WIDEST_PATH)
    page = Page()
    for label, field in rows:
        page.line(indent, f"{label:<{width}}  ", _sides(field))
    return page


def _label(path: str) -> str:
    """A flag of the command line by its own name."""
    return path.removeprefix("command.") if path.startswith(FLAG) else path


def diff_sides(field: FieldDiff) -> tuple[str, str | None, str | None]:
    """What the field is called, what it was, and what it becomes; None where there is nothing."""
    before, after = (None if v is None else _shown(field.path, v) for v in (field.before, field.after))
    return _label(field.path), before, after


def _sides(field: FieldDiff) -> Span:
    _, before, after = diff_sides(field)
    if before is None:
        return Span(f"+ {after if after is not None else render_value(None)}", Style.ADDED)
    if after is None:
        return Span(f"- {before}", Style.REMOVED)
    return Span(f"{before} → {after}", Style.CHANGED)


def _shown(path: str, value: Any) -> str:
    if path.rpartition(".")[2] in SIZES and isinstance(value, int) and value > 0:
        return render_bytes(value)
    if path.startswith(FLAG) and value is True:
        return "(given)"
    return render_value(value)


def render_value(value: Any) -> str:
    """A value on one line: text as it is, secrets by name, the rest as JSON."""
    if isinstance(value, SecretRef):
        return str(value)
    if isinstance(value, Mapping) and set(value) == {"secret"}:
        return f"(secret {value['secret']})"
    if type(value) is int:
        return str(value)
    text = value if isinstance(value, str) else render_json(to_data(value), indent=None).strip()
    if text == "":
        return '""'
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
