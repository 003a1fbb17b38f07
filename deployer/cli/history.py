"""`deployer history`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options


@click.command(short_help="Show who applied what, from the hosts' journals.")
@click.option("-n", "--number", type=click.IntRange(min=1), default=20, metavar="N", help="The last N.  [default: 20]")
@shared_options(hosts=True)
def command(shared: Shared, number: int) -> int:
    """Show who applied what, when and from which commit, the last one first, from the hosts' own journals.

    Exits 1 when the journal of a host could not be read.
    """
    from deployer import workflow
    from deployer.view.history import history_json, render_history

    with workflow.Session.open(shared.inputs, shared.report) as session:
        applied, problems = session.history()
    project = session.project.spec.project
    shared.console.problems(problems)
    if shared.json:
        shared.console.data(history_json(project, applied[:number]))
    else:
        shared.console.result(render_history(project, applied[:number]))
    return int(bool(problems))
