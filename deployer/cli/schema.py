"""`deployer schema`."""

from __future__ import annotations

import click

from deployer.cli.console import Console

OUTPUTS = (
    "plan", "events", "status", "doctor", "verify", "query", "history", "force-unlock", "estimate", "nim-profiles",
    "bundle", "problems",
)  # fmt: skip


@click.command(short_help="Print the JSON Schema of deploy.yaml, or of an output.")
@click.option("--of", "output", type=click.Choice(("spec", *OUTPUTS)), default="spec", help="Which format.")
def command(output: str) -> int:
    """Print the JSON Schema of deploy.yaml, for editors; or of what a command prints with --json.

    In an editor with the YAML language server: save it as deploy.schema.json and begin deploy.yaml with
    `# yaml-language-server: $schema=deploy.schema.json`.
    """
    console = Console.of(no_colour=True)
    if output == "spec":
        from deployer.spec.schema import json_schema

        console.data(json_schema())
    else:
        from deployer.view.output_schemas import output_schema

        console.data(output_schema(output))
    return 0
