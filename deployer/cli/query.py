"""`deployer query`."""

from __future__ import annotations

import sys

import click

from deployer.cli.options import Shared, shared_options

MAX_PROMPT = 4 << 20  # characters


@click.command(short_help="Ask a service something and print the answer as it comes.")
@click.argument("name", metavar="SERVICE|REPLICA")
@click.argument("prompt", metavar="PROMPT")
@click.option("--system", metavar="TEXT", help="What the model is told to be.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="The longest answer.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=120.0,
    metavar="SECONDS",
    help="The longest wait for the next piece of the answer.  [default: 120]",
)
@shared_options(hosts=True)
def command(shared: Shared, name: str, prompt: str, system: str | None, max_tokens: int | None, timeout: float) -> int:
    """Ask a service (`chat`) or one of its replicas (`chat-1`) something, and print the answer as it comes.

    A prompt of `-` is read from standard input. An embedding model answers with its vector.
    """
    from deployer import workflow
    from deployer.view.json_text import FORMAT_VERSION
    from deployer.view.spoken import Spoken
    from deployer.workflow.querying import Wish, query, replicas_named

    text = sys.stdin.read(MAX_PROMPT) if prompt == "-" else prompt
    with workflow.Session.open(shared.inputs, shared.report) as session:
        meant = replicas_named(session.project.spec, session.observe(), (name,))
        said, spoken = [], Spoken()
        for piece in query(session, meant, Wish(text, system, max_tokens, timeout), shared.report):
            said.append(piece)
            if not shared.json:
                shared.console.text(spoken.add(piece))
    if shared.json:
        shared.console.data({"format_version": FORMAT_VERSION, "service": meant[0][0].service, "answer": "".join(said)})
    else:
        shared.console.text(spoken.end() + "\n")
    return 0
