"""A plan as one HTML file that needs nothing else: no scripts, nothing loaded, everything foreign escaped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployer.engine.wording import operation_text
from deployer.errors import Diagnostic
from deployer.planning.render_template import builtin_template
from deployer.values.plan import Plan, Step
from deployer.view.field_diff import diff_sides
from deployer.view.measures import counted
from deployer.view.page import printable
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

TEMPLATE = "report.html.j2"
DIGEST_SHOWN = 12


def render_html(plan: Plan) -> str:
    """The whole plan with all its steps."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(builtin_template(TEMPLATE)).render(_report(plan)) + "\n"


def _report(plan: Plan) -> dict[str, Any]:
    """The template's names."""
    at_work = not plan.is_empty
    return {
        "project": plan.project,
        "version": plan.deployer,
        "hosts": counted(len(plan.hosts), "host"),
        "spec": plan.spec_digest[:DIGEST_SHOWN],
        "summary": summary_line(plan),
        "refusal": refusal_line(plan),
        "wanted": wanted_line(plan),
        "waiting": waiting_line(plan),
        "unreachable": unreachable_rows(plan),
        "problems": [_problem(problem) for problem in plan.problems],
        "changes": [_change(row) for row in change_rows(plan)],
        "fewer": fewer_rows(plan.rollout) if at_work else [],
        "fetches": fetch_rows(plan.steps),
        "placements": placement_rows(plan) if at_work else [],
        "steps": _steps(plan.steps),
    }


def _problem(problem: Diagnostic) -> dict[str, Any]:
    return {
        "severity": str(problem.severity),
        "code": problem.code,
        "message": problem.message,
        "where": str(problem.where) if problem.where else "",
        "evidence": [line for text in problem.evidence for line in text.split("\n")],
        "hint": problem.hint or "",
    }


def _change(row: ChangeRow) -> dict[str, Any]:
    if row.container is not None:
        details = [(name, "", value) for name, value in essentials(row.container)]
    else:
        sides = (diff_sides(field) for field in row.change.diff)
        details = [(name, before or "", after or "") for name, before, after in sides]
    return {
        "word": row.word,
        "replica": str(row.change.key),
        "place": row.place,
        "tag": row.tag,
        "why": row.why,
        "details": details,
    }


def _steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    number = {step.id: i for i, step in enumerate(steps, 1)}
    return [
        {
            "number": number[step.id],
            "host": step.host,
            "what": operation_text(step.operation),
            "needs": ", ".join(str(n) for n in sorted(number[i] for i in step.needs if i in number)),
            "on_failure": [
                *(operation_text(operation) for operation in step.on_failure),
                *(f"{operation_text(operation)} on {host}" for host, operation in step.elsewhere),
            ],
        }
        for step in steps
    ]
