"""`deployer nim-profiles`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options

SOME = click.IntRange(min=1, max=64)


@click.command(short_help="List the profiles of a service's NIM image, and say which one it takes.")
@click.argument("service")
@click.option("--recorded", metavar="FILE", help="Read what `list-model-profiles` printed once; touches no host.")
@click.option(
    "--gpu", metavar="NAME", help="With --recorded: for this GPU model.  [default: those that the list names]"
)
@click.option("--count", type=SOME, metavar="N", help="With --gpu: how many of them.  [default: 1]")
@shared_options(hosts=True)
def command(shared: Shared, service: str, recorded: str | None, gpu: str | None, count: int | None) -> int:
    """List the profiles of the NVIDIA NIM image of SERVICE: those that suit its GPUs, the best first, and why not the
    others. Plans and applies then pass the first one to the container, unless the spec names one.

    On a host that has the image and was never asked, `list-model-profiles` of the image runs once, with the service's
    GPUs and environment; the host keeps what it said. Exits 1 where no profile suits.
    """
    from deployer.view.nim_profiles import nim_profiles_json, render_nim_profiles

    if (gpu is not None and recorded is None) or (count is not None and gpu is None):
        raise click.UsageError("give `--gpu` with `--recorded`, and `--count` with `--gpu`")
    if recorded is not None:
        from deployer.cli.planfile import read_bytes
        from deployer.workflow.profiling import profiles_recorded

        found = profiles_recorded(
            shared.inputs, service, read_bytes(recorded), (gpu, count) if gpu is not None else None
        )
    else:
        from deployer import workflow
        from deployer.workflow.profiling import profiles_observed

        with workflow.Session.open(shared.inputs, shared.report) as session:
            found = profiles_observed(session, service, shared.report)
    shared.console.problems(found.problems)
    if shared.json:
        shared.console.data(nim_profiles_json(found))
    else:
        shared.console.result(render_nim_profiles(found, verbose=shared.verbose))
    return int(bool(found.problems) or any(host.taken is None for host in found.hosts))
