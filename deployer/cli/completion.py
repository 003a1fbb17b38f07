"""`deployer completion`."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_DEPLOYER_COMPLETE"  # as click names it after the program


@click.command(short_help="Print what makes a shell complete commands and options.")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print a script that makes a shell complete deployer's commands and options.

    \b
    bash: deployer completion bash > ~/.local/share/bash-completion/completions/deployer
    zsh:  deployer completion zsh > "${fpath[1]}/_deployer"
    fish: deployer completion fish > ~/.config/fish/completions/deployer.fish
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    group = click.get_current_context().find_root().command
    click.echo(made(group, {}, "deployer", VARIABLE).source())
    return 0
