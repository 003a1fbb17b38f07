"""`deployer apply`."""

from __future__ import annotations

import click

from deployer.cli.applying import Wish, run_apply
from deployer.cli.options import ALLOW_REMOVE, ASSUME_YES, LOCK_WAIT, Shared, shared_options


@click.command(short_help="Make the hosts what the spec says.")
@click.argument("plan_file", metavar="[PLAN]", required=False)
@ASSUME_YES
@LOCK_WAIT
@ALLOW_REMOVE
@click.option("--steps", is_flag=True, help="Show every step of the plan.")
@shared_options(hosts=True, chooses=True, locks=True, resumes=True)
def command(
    shared: Shared, plan_file: str | None, yes: bool, lock_wait: float, allow_remove: tuple[str, ...], steps: bool
) -> int:
    """Show the plan, ask, and make the hosts what the spec says.

    PLAN is a file that `deployer plan -o` wrote: what it shows is done, or nothing where a host moved since.

    Ends only when each model has answered a real request. Ctrl-C finishes or undoes what runs; a second one stops at
    once. Either way the next apply carries on.
    """
    wish = Wish(yes=yes, lock_wait=lock_wait, allow_remove=allow_remove, steps=steps, plan_file=plan_file)
    return run_apply(shared, wish)
