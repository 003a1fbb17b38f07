"""`deployer doctor`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options


@click.command(short_help="Check that the hosts have what they need.")
@click.option(
    "--flags", is_flag=True, help="Run the --help of images that are there, so that plans know the flags they have."
)
@click.option(
    "--try-gpus", is_flag=True, help="Give a container of an image that is there the GPUs, to see that it gets them."
)
@shared_options(hosts=True)
def command(shared: Shared, flags: bool, try_gpus: bool) -> int:
    """Check that each host has what it needs: pass, warn or fail, and what to do about it. Changes nothing.

    With --flags, the images of the services that a host has are asked for their flags: each runs once, for its help
    text, without GPUs and network. The host keeps what they said, and plans believe it before the built-in tables.

    With --try-gpus, one of these images runs the driver's nvidia-smi once, with all GPUs and without network.

    Exits 1 when a check fails. With -v, the checks that passed are shown one by one.
    """
    from deployer import workflow
    from deployer.values.checks import Verdict
    from deployer.view.diagnosis import diagnosis_json, render_diagnosis

    with workflow.Session.open(shared.inputs, shared.report) as session:
        diagnosis = session.diagnose(ask_images=flags, try_gpus=try_gpus)
    shared.console.problems(diagnosis.problems)
    if shared.json:
        shared.console.data(diagnosis_json(diagnosis))
    else:
        shared.console.result(render_diagnosis(diagnosis, verbose=shared.verbose))
    return int(diagnosis.count(Verdict.FAIL) > 0)
