"""`deployer render`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options


@click.command(short_help="Print the exact `docker run` of each replica.")
@click.option("--labels", is_flag=True, help="With the labels by which deployer knows its containers.")
@click.option("--explain", is_flag=True, help="Print where each value of each service comes from instead.")
@shared_options(hosts=False)
def command(shared: Shared, labels: bool, explain: bool) -> int:
    """Print the exact `docker run` of each replica. No host is asked, nothing is run.

    What only the hosts know is assumed: every model is where the spec says, GPUs are named by their index, ports are
    the first of the host's range. Secrets are given as `-e NAME`: set them in the environment first.
    """
    from deployer import workflow
    from deployer.view import rendered

    if explain:
        project = workflow.load(shared.inputs, confined=True)
        if shared.json:
            shared.console.data(rendered.origins_json(project))
        else:
            shared.console.result(rendered.render_origins(project))
        return 0
    plan = workflow.plan_assumed(shared.inputs)
    replicas = rendered.rendered_replicas(plan, labels=labels)
    shared.console.problems(plan.problems)
    if shared.json:
        shared.console.data(rendered.commands_json(plan, replicas))
    else:
        shared.console.result(rendered.render_commands(replicas))
    return int(plan.has_errors)
