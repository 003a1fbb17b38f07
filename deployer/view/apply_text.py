"""How an apply ended, in the few lines that are read first."""

from __future__ import annotations

from deployer.values.events import ApplyResult, StepFailed, StepUndone
from deployer.values.plan import Action, Plan
from deployer.view.measures import counted
from deployer.view.page import Page, Span, Style

HELD = "an apply leaves that so until the spec of the service changes, or it says `--resume`"


def render_result(plan: Plan, result: ApplyResult, *, verb: str = "apply") -> Page:
    """All but the diagnostics, which progress and problems have told."""
    page = Page()
    if result.is_ok and verb == "destroy":
        left = any(change.action is Action.KEEP for change in plan.changes)
        what = "what was selected is gone" if left else f"nothing of `{plan.project}` runs any more"
        page.line(Span("Destroyed:", Style.ADDED), f" {_counts(result)}; {what}")
        return page
    if result.is_ok and verb == "rollback":
        page.line(Span("Rolled back:", Style.ADDED), f" {_counts(result)}; {HELD}")
        page.extend(_urls(plan))
        return page
    if result.is_ok:
        page.line(Span("Applied:", Style.ADDED), f" {_counts(result)}; the hosts are as the spec says")
        page.extend(_urls(plan))
        return page
    for failed in result.failed:
        page.extend(_render_failed(plan, failed))
    for undone in result.not_undone:
        page.extend(_render_not_undone(undone))
    head = "Interrupted:" if result.interrupted else f"{verb.capitalize()} failed:"
    page.line(Span(head, Style.ERROR), f" {_counts(result)}")
    page.line(_what_next(result))
    return page


def _what_next(result: ApplyResult) -> str:
    if result.not_undone:
        return "Not all of it could be undone. Solve that and apply again: it carries on from what the hosts show."
    if result.interrupted:
        return "What was running was finished or undone; the next apply carries on."
    if result.failed:
        return "What failed was undone as the plan said. Solve it and apply again: it carries on from here."
    return "All steps were done, but a last look at the hosts found something else."


def _counts(result: ApplyResult) -> str:
    done = len(result.outcomes) - len(result.failed) - len(result.skipped)
    parts = [f"{counted(done, 'step')} done"]
    parts += [f"{len(result.failed)} failed"] if result.failed else []
    parts += [f"{len(result.skipped)} skipped"] if result.skipped else []
    return ", ".join(parts)


def _render_failed(plan: Plan, failed: StepFailed) -> Page:
    """One line; the whole diagnostic was shown when it happened."""
    key = next((step.key for step in plan.steps if step.id == failed.step), None)
    about = f"{key} on {failed.host}" if key else failed.host
    page = Page()
    page.line(Span("FAILED", Style.ERROR), f" {about}: {failed.diagnostic.message}")
    return page


def _render_not_undone(undone: StepUndone) -> Page:
    page = Page()
    why = f": {undone.diagnostic.message}" if undone.diagnostic else ""
    page.line(Span("COULD NOT UNDO", Style.ERROR), f" {undone.host}: {undone.what}{why}")
    return page


def _urls(plan: Plan) -> Page:
    """Where what was changed answers now."""
    changed = {c.key for c in plan.pending if c.action not in (Action.REMOVE, Action.STOP)}
    page = Page()
    for placement in plan.placements:
        if placement.key in changed and placement.url:
            page.line(f"  {placement.key}  {placement.url}")
    return page
