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
@click.option(
    "--what-if",
    "supposed",
    multiple=True,
    metavar="TEXT",
    help="With --facts: suppose `host gpu-b lost`, `host gpu-c has 8 x H200` or `service big: {model: big}`.",
)
@click.option("--markdown", is_flag=True, help="Print it as Markdown, for a pull request's comment.")
@click.option("--html", metavar="FILE", help="Write it there too, as one HTML file.")
@shared_options(hosts=True, chooses=True, locks=True, resumes=True)
def command(
    shared: Shared,
    detailed_exitcode: bool,
    output: str | None,
    facts: str | None,
    supposed: tuple[str, ...],
    **form: Any,
) -> int:
    """Look at the hosts and show what apply would change, and why. Changes nothing.

    With --what-if (again for more), first which replicas would be elsewhere, then the whole plan as it would be.
    Settings of a `service`, `model` or `host` are written as in the spec and merged over it; `model NAME is FILE` says
    by its config.json what a model is made of.
    """
    if facts is not None and output is not None:
        raise click.UsageError("a plan for recorded facts cannot be applied: give `--facts` or `-o`, not both")
    if shared.json and form["markdown"]:
        raise click.UsageError("give `--json` or `--markdown`, not both")
    if supposed:
        return _supposed(shared, facts, supposed, form, detailed=detailed_exitcode)
    plan = _recorded(shared, facts) if facts is not None else _observed(shared, output)
    shared.console.problems(plan.problems)
    _show(shared, plan, **form)
    return exit_code(plan, detailed=detailed_exitcode)


def _supposed(
    shared: Shared, facts: str | None, texts: tuple[str, ...], form: dict[str, Any], *, detailed: bool
) -> int:
    from deployer.planning.what_if import MOST, parse_supposition

    if facts is None:
        raise click.UsageError("`--what-if` needs recorded facts: `deployer facts -o FILE`, then `--facts FILE`")
    if form["markdown"] or form["html"] is not None or len(texts) > MOST:
        raise click.UsageError(f"`--what-if` is shown as text or `--json`, and takes at most {MOST} at once")
    try:
        suppositions = [parse_supposition(text) for text in texts]
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    from deployer.cli.planfile import read_bytes
    from deployer.view.what_if import render_what_if, what_if_json
    from deployer.workflow.supposing import plan_supposed

    found = plan_supposed(shared.inputs, read_bytes(facts), suppositions)
    shared.console.problems(found.plan.problems)
    if shared.json:
        shared.console.data(what_if_json(found))
    else:
        shared.console.result(render_what_if(found, steps=form["steps"], verbose=shared.verbose))
    return exit_code(found.plan, detailed=detailed)


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
