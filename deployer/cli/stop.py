"""`deployer stop`."""

from __future__ import annotations

import click

from deployer.cli.applying import Wish
from deployer.cli.editing import run_edit
from deployer.cli.options import ASSUME_YES, LOCK_WAIT, Shared, shared_options


@click.command(short_help="Stop services, in the spec and on the hosts; containers and weights stay.")
@click.argument("services", metavar="SERVICE...", nargs=-1, required=True)
@ASSUME_YES
@LOCK_WAIT
@shared_options(hosts=True, locks=True, resumes=True)
def command(shared: Shared, services: tuple[str, ...], yes: bool, lock_wait: float) -> int:
    """Set `state: stopped` of services in the spec (comments kept), show the plan for them, ask, and apply it.

    Their containers are stopped and kept, their GPUs and ports are free for others."""
    wishes = dict.fromkeys(services, "stopped")
    return run_edit(shared, "state", wishes, Wish(yes=yes, lock_wait=lock_wait, verb="stop"))
