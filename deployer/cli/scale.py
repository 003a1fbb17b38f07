"""`deployer scale`."""

from __future__ import annotations

import click

from deployer.cli.applying import Wish
from deployer.cli.editing import run_edit
from deployer.cli.options import ASSUME_YES, LOCK_WAIT, Shared, shared_options


@click.command(short_help="Change how many replicas a service has, in the spec and on the hosts.")
@click.argument("replicas", metavar="SERVICE=N...", nargs=-1, required=True)
@ASSUME_YES
@LOCK_WAIT
@shared_options(hosts=True, locks=True, resumes=True)
def command(shared: Shared, replicas: tuple[str, ...], yes: bool, lock_wait: float) -> int:
    """Set `replicas` of services in the spec (comments kept), show the plan for them, ask, and apply it.

    The spec is written once you said yes; where the plan has errors it stays as it is.
    """
    wishes = dict(_wish(text) for text in replicas)
    return run_edit(shared, "replicas", wishes, Wish(yes=yes, lock_wait=lock_wait, verb="scale"))


def _wish(text: str) -> tuple[str, str]:
    service, sign, count = text.partition("=")
    if not sign or not service or not (count.isascii() and count.isdigit() and len(count) < 6):
        raise click.UsageError(f"`{text}` is not SERVICE=N, as `chat=3`")
    return service, str(int(count))
