"""`deployer plan`."""

from __future__ import annotations

from typing import Any

import click

from deployer.cli.options import Shared, shared_options
from deployer.cli.refusals import problem_exit
from deployer.values.plan import Cause, Plan


@click.command(short_help="Show what apply would change, and why.")
@click.option("--steps", is_flag=True, help="Show every step, in order.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 when the spec asks for changes, 4 when only a host drifted."
)
@click.option("-o", "--output", metavar="FILE", help="Save the plan there, for `deployer apply FILE`.")
@click.option("--facts", metavar="FILE", help="Plan for facts recorded by `deployer facts`; touches no host.")
@click.option("--markdown", is_flag=True, help="Print it as Markdown, for a pull request's comment.")
@click.option("--html", metavar="FILE", help="Write it there too, as one HTML file.")
@shared_options(hosts=True, chooses=True, locks=True)
def command(shared: Shared, detailed_exitcode: bool, output: str | None, facts: str | None, **form: Any) -> int:
    """Look at the hosts and show what apply would change, and why. Changes nothing."""
    if facts is not None and output is not None:
        raise click.UsageError("a plan for recorded facts cannot be applied: give `--facts` or `-o`, not both")
    if shared.json and form["markdown"]:
        raise click.UsageError("give `--json` or `--markdown`, not both")
    plan = _recorded(shared, facts) if facts is not None else _observed(shared, output)
    shared.console.problems(plan.problems)
    _show(shared, plan, **form)
    return exit_code(plan, detailed=detailed_exitcode)


def _show(shared: Shared, plan: Plan, *, steps: bool, markdown: bool, html: str | None) -> None:
    if html is not None:
        from deployer.cli.facts import write_file
        from deployer.view.plan_html import render_html

        write_file(html, render_html(plan))
    if shared.json:
        from deployer.view.plan_json import plan_json

        shared.console.data(plan_json(plan))
    elif markdown:
        from deployer.view.plan_markdown import render_markdown

        shared.console.text(render_markdown(plan))
    else:
        from deployer.view.plan_text import render_plan

        shared.console.result(render_plan(plan, steps=steps, verbose=shared.verbose))


def _observed(shared: Shared, output: str | None) -> Plan:
    from deployer import workflow

    with workflow.Session.open(shared.inputs, shared.report) as session:
        planned = session.plan()
        if output is not None:
            from deployer.cli.planfile import write_plan

            write_plan(output, planned.plan, session.carried(planned))
    return planned.plan


def _recorded(shared: Shared, facts: str) -> Plan:
    from deployer import workflow
    from deployer.cli.planfile import read_bytes

    return workflow.plan_recorded(shared.inputs, read_bytes(facts))


def exit_code(plan: Plan, *, detailed: bool) -> int:
    """1: cannot be applied, 3: another owner's; with `detailed` 2: the spec asks for changes, 4: nothing was edited
    but a host drifted."""
    if plan.has_errors:
        return problem_exit(plan.problems)
    if not detailed:
        return 0
    causes = {change.cause for change in plan.pending}
    if Cause.CHANGE in causes:
        return 2
    return 4 if Cause.DRIFT in causes or plan.steps else 0
