"""A bare click program: two commands and a version."""

import click


@click.group()
@click.version_option("1.0", prog_name="bare")
def main() -> None:
    """Says what it could do."""


@main.command()
def one() -> None:
    """Does one thing."""


@main.command()
def other() -> None:
    """Does another."""


main()
