"""`deployer apply`."""

from __future__ import annotations

import click

from deployer.cli.applying import Wish, run_apply
from deployer.cli.options import ALLOW_REMOVE, ASSUME_YES, LOCK_WAIT, Shared, shared_options


@click.command(short_help="Make the hosts what the spec says.")
@ASSUME_YES
@LOCK_WAIT
@ALLOW_REMOVE
@click.option("--steps", is_flag=True, help="Show every step of the plan.")
@shared_options(hosts=True)
def command(shared: Shared, yes: bool, lock_wait: float, allow_remove: tuple[str, ...], steps: bool) -> int:
    """Show the plan, ask, and make the hosts what the spec says.

    Ends only when each model has answered a real request. Ctrl-C finishes or undoes what runs; a second one stops at
    once. Either way the next apply carries on.
    """
    return run_apply(shared, Wish(yes=yes, lock_wait=lock_wait, allow_remove=allow_remove, steps=steps))
