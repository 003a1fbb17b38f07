"""The command line: flags to workflow to view to exit code, one module a command. Decides nothing else."""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """The `deployer` command."""
    import sys

    from deployer.cli.app import run_process

    run_process(sys.argv[1:])
