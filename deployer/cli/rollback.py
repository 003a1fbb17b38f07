"""`deployer rollback`."""

from __future__ import annotations

import click

from deployer.cli.applying import Wish, run_apply
from deployer.cli.options import ASSUME_YES, LOCK_WAIT, Shared, shared_options


@click.command(short_help="Bring back the last revision that worked.")
@click.argument("apply", required=False)
@ASSUME_YES
@LOCK_WAIT
@click.option("--steps", is_flag=True, help="Show every step of the plan.")
@click.option("--reason", metavar="TEXT", default="", help="Why, for those who find the service held.")
@shared_options(hosts=True, chooses=True)
def command(shared: Shared, apply: str | None, yes: bool, lock_wait: float, steps: bool, reason: str) -> int:
    """Show what would come back, ask, and bring it back: image, flags and weights of a service's former revision,
    on each host from its own record.

    APPLY, as `deployer history` names it, is the apply to go back to; without it each replica goes back to what
    worked before. `--target` names the service where several could be meant.

    It leaves a hold: the next apply exits 3 until the service's spec changes, or until `deployer apply --resume`.
    """
    wish = Wish(yes=yes, lock_wait=lock_wait, steps=steps, verb="rollback", former=apply, reason=reason)
    return run_apply(shared, wish)
