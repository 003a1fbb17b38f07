"""A plan for what is only supposed: what is, where replicas would be instead, and the plan itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from deployer.planning.supposed import Difference
from deployer.values.plan import Plan
from deployer.view.page import Page, Span, Style
from deployer.view.plan_json import plan_json
from deployer.view.plan_text import render_plan


class Supposing(Protocol):
    @property
    def supposed(self) -> tuple[str, ...]: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def differences(self) -> tuple[Difference, ...]: ...


def render_what_if(found: Supposing, *, steps: bool, verbose: bool) -> Page:
    page = Page()
    page.line(Span("What if", Style.BOLD))
    for words in found.supposed:
        page.line(f"  {words}")
    page.blank()
    page.extend(_differences(found.differences))
    page.blank()
    page.extend(render_plan(found.plan, steps=steps, verbose=verbose))
    return page


def _differences(rows: Sequence[Difference]) -> Page:
    page = Page()
    if not rows:
        page.line("Every replica would be where it is by the plan for things as they are.")
        return page
    page.line(Span("Replicas that would be elsewhere", Style.BOLD))
    width = max(len(row.replica) for row in rows)
    for row in rows:
        style = Style.ERROR if row.after is None else Style.CHANGED
        page.line(f"  {row.replica:{width}}  {row.before or 'nowhere'} → ", Span(row.after or "nowhere", style))
    return page


def what_if_json(found: Supposing) -> dict[str, Any]:
    """The plan's own keys, and `what_if`."""
    rows = [{"replica": row.replica, "before": row.before, "after": row.after} for row in found.differences]
    return {**plan_json(found.plan), "what_if": {"supposed": list(found.supposed), "differences": rows}}
