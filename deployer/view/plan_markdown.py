"""A plan as Markdown for a pull request: foreign text in it is no markup, and all of it fits into one comment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deployer.errors import Diagnostic
from deployer.values.plan import Plan
from deployer.view.field_diff import diff_sides
from deployer.view.markdown import Section, code, details, escape, fitted, literal, prose, verbatim
from deployer.view.measures import counted
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

LIMIT = 60 << 10  # bytes; GitHub takes 65,536 characters
MOST_FIELDS, MOST_EVIDENCE = 60, 20
LONGEST_FIELD = 1000  # characters


def render_markdown(plan: Plan, *, limit: int = LIMIT) -> str:
    """The whole plan but its steps, most important first; ends with a newline."""
    changes = change_rows(plan)
    table = tuple(_change(row) for row in changes)
    sections = [
        Section("problems", "#### Problems\n\n", tuple(map(_problem, plan.problems))),
        Section("changes", "| | Replica | Where | Why |\n| --- | --- | --- | --- |\n", table),
        Section("services", "#### While it runs\n\n", tuple(_fewer(plan))),
        Section("field diffs", "", tuple(_differences(row) for row in changes if row.container or row.change.diff)),
        Section("downloads", "#### To fetch\n\n", tuple(_fetches(plan))),
        Section(
            "placements",
            "#### Placements\n\n| Replica | Host | GPUs | Address |\n| --- | --- | --- | --- |\n",
            () if plan.is_empty else tuple(_placements(plan)),
        ),
    ]
    return fitted(_top(plan), sections, limit)


def _top(plan: Plan) -> str:
    """What is always shown. The comment is for who looks for an earlier comment to write over."""
    project = literal(plan.project)
    lines = [f"<!-- deployer plan {project} -->", f"### Plan for {code(plan.project)}", ""]
    refusal = refusal_line(plan)
    summary = f"**{escape(refusal or summary_line(plan))}** {escape(wanted_line(plan)) if refusal else ''}"
    lines += [summary.rstrip(), ""]
    if waiting := waiting_line(plan):
        lines += [escape(waiting), ""]
    away = unreachable_rows(plan)
    if away:
        named = ", ".join(f"{code(name)} ({escape(why, 80)})" for name, why in away[:10])
        more = f" and {len(away) - 10} more" if len(away) > 10 else ""
        lines += [f"Unreachable: {named}{more}", ""]
    return "\n".join(lines) + "\n"


def _problem(problem: Diagnostic) -> str:
    """A list item with what else is known of the problem below it."""
    where = f" at {code(str(problem.where))}" if problem.where else ""
    text = f"- **{problem.severity}** {code(problem.code)}: {prose(problem.message)}{where}\n"
    for line in _lines(problem.evidence, MOST_EVIDENCE):
        text += f"  - {code(line)}\n"
    return text + (f"  - _hint_: {prose(problem.hint)}\n" if problem.hint else "")


def _lines(texts: Sequence[str], most: int) -> list[str]:
    found = [line for text in texts for line in text.split("\n") if line.strip()]
    return found[:most] + ([f"and {len(found) - most} more"] if len(found) > most else [])


def _change(row: ChangeRow) -> str:
    tag = f" ({row.tag})" if row.tag else ""
    cells = (f"**{row.word}**{tag}", code(str(row.change.key)), escape(row.place), prose(row.why))
    return f"| {' | '.join(cells)} |\n"


def _differences(row: ChangeRow) -> str:
    """What becomes of one replica's container, folded away."""
    if row.container is not None:
        fields = [f"+ {name}: {value}" for name, value in essentials(row.container)]
        what = "the new container"
    else:
        fields = list(_sides(row))
        what = counted(len(row.change.diff), "field")
    shown = [line[:LONGEST_FIELD] for line in fields[:MOST_FIELDS]]
    shown += [f"  and {len(fields) - MOST_FIELDS} more lines"] if len(fields) > MOST_FIELDS else []
    return details(f"{row.word} {code(str(row.change.key))}: {what}", verbatim(shown, "diff"))


def _sides(row: ChangeRow) -> Iterator[str]:
    for field in row.change.diff:
        label, before, after = diff_sides(field)
        if before is not None:
            yield f"- {label}: {before}"
        if after is not None:
            yield f"+ {label}: {after}"


def _fewer(plan: Plan) -> Iterator[str]:
    for row in () if plan.is_empty else fewer_rows(plan.rollout):
        stress = f"**{row.stress}**" if row.stress else ""
        yield f"- {code(row.service)}: {row.before}{stress}{row.after}\n"


def _fetches(plan: Plan) -> Iterator[str]:
    for row in fetch_rows(plan.steps):
        yield f"- {code(row.host)}: {escape(row.what)} ({row.size})\n"


def _placements(plan: Plan) -> Iterator[str]:
    for row in placement_rows(plan):
        cells = (code(row.replica), escape(row.hosts), escape(row.gpus), code(row.url.removeprefix("http://")))
        yield f"| {' | '.join(cells)} |\n"
