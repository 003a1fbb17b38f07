"""`deployer plan`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options
from deployer.values.plan import Cause, Plan


@click.command(short_help="Show what apply would change, and why.")
@click.option("--steps", is_flag=True, help="Show every step, in order.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 2 when the spec asks for changes, 4 when only a host drifted."
)
@shared_options(hosts=True)
def command(shared: Shared, steps: bool, detailed_exitcode: bool) -> int:
    """Look at the hosts and show what apply would change, and why. Changes nothing."""
    from deployer import workflow
    from deployer.view.plan_json import plan_json
    from deployer.view.plan_text import render_plan

    with workflow.Session.open(shared.inputs, shared.report) as session:
        plan = session.plan().plan
    shared.console.problems(plan.problems)
    if shared.json:
        shared.console.data(plan_json(plan))
    else:
        shared.console.result(render_plan(plan, steps=steps, verbose=shared.verbose))
    return exit_code(plan, detailed=detailed_exitcode)


def exit_code(plan: Plan, *, detailed: bool) -> int:
    """1: cannot be applied; with `detailed` 2: the spec asks for changes, 4: nothing was edited but a host drifted."""
    if plan.has_errors:
        return 1
    if not detailed:
        return 0
    causes = {change.cause for change in plan.pending}
    if Cause.CHANGE in causes:
        return 2
    return 4 if Cause.DRIFT in causes or plan.steps else 0
