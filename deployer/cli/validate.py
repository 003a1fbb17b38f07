"""`deployer validate`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options


@click.command(short_help="Check the spec and all it names; run nothing.")
@shared_options(hosts=False)
def command(shared: Shared) -> int:
    """Check the spec and all it names; run nothing and ask no host."""
    from deployer import workflow
    from deployer.view.validity import render_valid, valid_json

    project = workflow.load(shared.inputs, confined=True)
    shared.console.problems(project.warnings)
    if shared.json:
        shared.console.data(valid_json(project))
    else:
        shared.console.result(render_valid(project))
    return 0
