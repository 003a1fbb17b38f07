"""`deployer status`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options
from deployer.cli.refusals import problem_exit
from deployer.errors import RefusedError

OPEN = ("weights-unresolved", "no-placement")  # where no hub was asked: no problems of what runs


@click.command(short_help="Show what runs, service by service.")
@shared_options(hosts=True)
def command(shared: Shared) -> int:
    """Show what runs, service by service, and whether it is ready now. Exits 1 when a host could not be asked, 3 when
    another owner's project of the same name is there."""
    from deployer import workflow
    from deployer.view.status import Seen, status_json, status_of
    from deployer.view.status_text import examples_of, render_status

    with workflow.Session.open(shared.inputs, shared.report) as session:
        planned = session.plan(asks_hubs=False)
        health = session.health(planned)
    status = status_of(Seen(planned.project, planned.observed, planned.plan, health))
    hidden = OPEN if planned.leaves_open else ()
    shared.console.problems([problem for problem in planned.plan.problems if problem.code not in hidden])
    if shared.json:
        shared.console.data(status_json(status))
    else:
        spec, ssh_config = planned.project.spec, shared.inputs.ssh_config
        examples = examples_of(spec, status, ssh_config) if shared.verbose else None
        shared.console.result(render_status(status, examples))
    refused = problem_exit(planned.plan.problems) == RefusedError.exit_code
    return RefusedError.exit_code if refused else int(bool(planned.observed.unreachable))
