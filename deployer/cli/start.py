"""`deployer start`."""

from __future__ import annotations

import click

from deployer.cli.applying import Wish
from deployer.cli.editing import run_edit
from deployer.cli.options import ASSUME_YES, LOCK_WAIT, Shared, shared_options


@click.command(short_help="Start services again that were stopped, in the spec and on the hosts.")
@click.argument("services", metavar="SERVICE...", nargs=-1, required=True)
@ASSUME_YES
@LOCK_WAIT
@shared_options(hosts=True, locks=True, resumes=True)
def command(shared: Shared, services: tuple[str, ...], yes: bool, lock_wait: float) -> int:
    """Set `state: running` of services in the spec (comments kept), show the plan for them, ask, and apply it."""
    wishes = dict.fromkeys(services, "running")
    return run_edit(shared, "state", wishes, Wish(yes=yes, lock_wait=lock_wait, verb="start"))
