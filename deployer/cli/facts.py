"""`deployer facts`."""

from __future__ import annotations

from pathlib import Path

import click

from deployer.cli.options import Shared, shared_options
from deployer.errors import DeployerError, Diagnostic


@click.command(short_help="Print everything observed on the hosts, as JSON.")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
@shared_options(hosts=True)
def command(shared: Shared, output: str | None) -> int:
    """Print everything observed on the hosts, as JSON. Exits 1 when a host could not be asked."""
    from deployer import __version__, workflow
    from deployer.view.facts import facts_json
    from deployer.view.json_text import render_json

    with workflow.Session.open(shared.inputs, shared.report) as session:
        observed = session.observe()
    text = render_json(facts_json(observed, __version__))
    if output is None:
        shared.console.text(text)
    else:
        write_file(output, text)
    shared.console.problems([host.reason for host in observed.unreachable.values()])
    return 1 if observed.unreachable else 0


def write_file(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"`{path}` cannot be written: {error.strerror}"
        raise DeployerError(Diagnostic("cannot-write", message, hint="name another file")) from None
