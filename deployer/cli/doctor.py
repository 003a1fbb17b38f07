"""`deployer doctor`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options


@click.command(short_help="Check that the hosts have what they need.")
@shared_options(hosts=True)
def command(shared: Shared) -> int:
    """Check that each host has what it needs: pass, warn or fail, and what to do about it. Changes nothing.

    Exits 1 when a check fails. With -v, the checks that passed are shown one by one.
    """
    from deployer import workflow
    from deployer.values.checks import Verdict
    from deployer.view.diagnosis import diagnosis_json, render_diagnosis

    with workflow.Session.open(shared.inputs, shared.report) as session:
        diagnosis = session.diagnose()
    shared.console.problems(diagnosis.problems)
    if shared.json:
        shared.console.data(diagnosis_json(diagnosis))
    else:
        shared.console.result(render_diagnosis(diagnosis, verbose=shared.verbose))
    return int(diagnosis.count(Verdict.FAIL) > 0)
