"""`deployer lock`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options


@click.command(short_help="Write down which commit of each model is meant, and the hash of every file.")
@click.option("--upgrade", multiple=True, metavar="MODEL", help="Look this model up anew; given again for several.")
@shared_options(hosts=False)
def command(shared: Shared, upgrade: tuple[str, ...]) -> int:
    """Write deploy.lock beside deploy.yaml: the commit of each model, with size and SHA-256 of every file.

    What is locked stays, whatever a branch means by then; only `--upgrade` moves it. Commit the file.
    """
    from deployer import workflow
    from deployer.view.locked import locked_json, render_locked

    locked = workflow.lock(shared.inputs, upgrade)
    if shared.json:
        shared.console.data(locked_json(locked))
    else:
        shared.console.result(render_locked(locked))
    return 0
