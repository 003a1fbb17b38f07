"""A plan as text: what changes and why, what it costs while it runs, and one last line that sums it up."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.engine.wording import operation_text
from deployer.values.plan import Action, Availability, Plan, Step
from deployer.view.field_diff import render_diff
from deployer.view.measures import counted
from deployer.view.page import Page, Span, Style
from deployer.view.plan_outline import (
    ChangeRow,
    change_rows,
    essentials,
    fetch_rows,
    fewer_rows,
    placement_rows,
    refusal_line,
    summary_line,
    unreachable_rows,
    waiting_line,
    wanted_line,
)

SYMBOLS = {
    Action.CREATE: ("+", Style.ADDED),
    Action.UPDATE: ("~", Style.CHANGED),
    Action.REPLACE: ("-/+", Style.CHANGED),
    Action.MOVE: ("=>", Style.CHANGED),
    Action.START: ("^", Style.ADDED),
    Action.STOP: ("v", Style.REMOVED),
    Action.REMOVE: ("-", Style.REMOVED),
    Action.KEEP: ("=", Style.DIM),
}
DETAIL = " " * 6


def render_plan(plan: Plan, *, steps: bool = False, verbose: bool = False) -> Page:
    """The whole plan but its problems; `steps` adds every step, `verbose` the replicas that are kept."""
    page = Page()
    page.line(Span(f"Project `{plan.project}`", Style.BOLD), f" on {counted(len(plan.hosts), 'host')}")
    for name, why in unreachable_rows(plan):
        page.line("  ", Span("!", Style.WARNING), f" {name} is unreachable: {why}")
    for row in change_rows(plan, kept=verbose):
        page.blank()
        page.extend(_render_change(row))
    if not plan.is_empty:
        for section in (_placements(plan), _rollout(plan.rollout), _downloads(plan.steps)):
            page.blank()
            page.extend(section)
    if steps and plan.steps:
        page.blank()
        page.extend(render_steps(plan.steps))
    page.blank()
    page.extend(_end(plan))
    return page


def _render_change(row: ChangeRow) -> Page:
    change = row.change
    symbol, style = ("?", Style.WARNING) if row.is_unknown else SYMBOLS[change.action]
    tag = f" ({row.tag})" if row.tag else ""
    page = Page()
    place = f" {row.place}{tag}{': ' if row.why else ''}{row.why}"
    page.line(f"{symbol:>4} ", Span(f"{row.word} {change.key}", style), place)
    if row.container is None:
        page.extend(render_diff(change.diff, DETAIL))
        return page
    for name, value in essentials(row.container):
        page.line(DETAIL, Span(f"{name:<8}", Style.DIM), f" {value}")
    return page


def _placements(plan: Plan) -> Page:
    page = Page()
    rows = [(row.replica, row.hosts, row.gpus, row.url) for row in placement_rows(plan)]
    if not rows:
        return page
    page.line(Span("Placements", Style.BOLD))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        page.line("  ", "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[3]]))
    return page


def _rollout(rollout: Sequence[Availability]) -> Page:
    page = Page()
    rows = fewer_rows(rollout)
    if not rows:
        return page
    page.line(Span("While it runs", Style.BOLD))
    width = max(len(row.service) for row in rows)
    for row in rows:
        page.line(f"  {row.service:<{width}}  {row.before}", Span(row.stress, Style.WARNING), row.after)
    return page


def _downloads(steps: Sequence[Step]) -> Page:
    page = Page()
    rows = fetch_rows(steps)
    if not rows:
        return page
    page.line(Span("To fetch", Style.BOLD))
    for row in rows:
        page.line(f"  {row.host}  {row.what} ({row.size})")
    return page


def render_steps(steps: Sequence[Step]) -> Page:
    """Every step in order, with what it waits for and what follows its failure."""
    number = {step.id: i for i, step in enumerate(steps, 1)}
    digits, host = len(str(len(steps))), max((len(s.host) for s in steps), default=0)
    page = Page()
    page.line(Span("Steps", Style.BOLD))
    for step in steps:
        needs = ", ".join(str(n) for n in sorted(number[i] for i in step.needs if i in number))
        after = Span(f"  after {needs}", Style.DIM) if needs else ""
        page.line(f"  {number[step.id]:>{digits}}  {step.host:<{host}}  {operation_text(step.operation)}", after)
        after_failure = [operation_text(operation) for operation in step.on_failure]
        after_failure += [f"{operation_text(operation)} on {where}" for where, operation in step.elsewhere]
        for what in after_failure:
            page.line(" " * (digits + host + 6), Span(f"if it fails: {what}", Style.DIM))
        for where, operation in step.reverts:
            what = f"if another of {step.bound} fails: {operation_text(operation)} on {where}"
            page.line(" " * (digits + host + 6), Span(what, Style.DIM))
    return page


def _end(plan: Plan) -> Page:
    page = Page()
    if waiting := waiting_line(plan):
        page.line(waiting)
    if refusal := refusal_line(plan):
        wanted = wanted_line(plan)
        page.line(Span(refusal, Style.ERROR), f" {wanted}" if wanted else "")
    else:
        page.line(Span(summary_line(plan), Style.BOLD))
    return page
