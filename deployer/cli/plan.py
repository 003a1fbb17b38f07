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
@click.option("-o", "--output", metavar="FILE", help="Save the plan there, for `deployer apply FILE`.")
@click.option("--facts", metavar="FILE", help="Plan for facts recorded by `deployer facts`; touches no host.")
@shared_options(hosts=True, chooses=True)
def command(shared: Shared, steps: bool, detailed_exitcode: bool, output: str | None, facts: str | None) -> int:
    """Look at the hosts and show what apply would change, and why. Changes nothing."""
    if facts is not None and output is not None:
        raise click.UsageError("a plan for recorded facts cannot be applied: give `--facts` or `-o`, not both")
    plan = _recorded(shared, facts) if facts is not None else _observed(shared, output)
    shared.console.problems(plan.problems)
    if shared.json:
        from deployer.view.plan_json import plan_json

        shared.console.data(plan_json(plan))
    else:
        from deployer.view.plan_text import render_plan

        shared.console.result(render_plan(plan, steps=steps, verbose=shared.verbose))
    return exit_code(plan, detailed=detailed_exitcode)


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
    """1: cannot be applied; with `detailed` 2: the spec asks for changes, 4: nothing was edited but a host drifted."""
    if plan.has_errors:
        return 1
    if not detailed:
        return 0
    causes = {change.cause for change in plan.pending}
    if Cause.CHANGE in causes:
        return 2
    return 4 if Cause.DRIFT in causes or plan.steps else 0
