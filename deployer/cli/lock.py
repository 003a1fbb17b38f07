"""`deployer lock`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options


@click.command(short_help="Write down what each model and image is: commits, hashes, digests.")
@click.option(
    "--upgrade", multiple=True, metavar="NAME", help="Look this model or image up anew; given again for several."
)
@shared_options(hosts=True)
def command(shared: Shared, upgrade: tuple[str, ...]) -> int:
    """Write deploy.lock beside deploy.yaml: the commit of each model, with size and SHA-256 of every file, and the
    digests of each image. An image whose registry cannot be asked is locked as the hosts have it.

    What is locked stays, whatever a branch or a tag means by then; only `--upgrade` moves it. Commit the file.
    """
    from deployer import workflow
    from deployer.view.locked import locked_json, render_locked

    locked = workflow.lock(shared.inputs, upgrade, shared.report)
    shared.console.problems(locked.problems)
    if shared.json:
        shared.console.data(locked_json(locked))
    else:
        shared.console.result(render_locked(locked))
    return 0
