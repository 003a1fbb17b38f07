"""`deployer destroy`."""

from __future__ import annotations

import click

from deployer.cli.applying import Wish, run_apply
from deployer.cli.options import ALLOW_REMOVE, ASSUME_YES, LOCK_WAIT, Shared, shared_options


@click.command(short_help="Remove all that the project runs, and only that.")
@ASSUME_YES
@LOCK_WAIT
@ALLOW_REMOVE
@shared_options(hosts=True, chooses=True)
def command(shared: Shared, yes: bool, lock_wait: float, allow_remove: tuple[str, ...]) -> int:
    """Show what the project runs, ask, and remove it: containers and all that came with them, nothing else.

    Models and caches stay.
    """
    return run_apply(shared, Wish(yes=yes, lock_wait=lock_wait, allow_remove=allow_remove, verb="destroy"))
