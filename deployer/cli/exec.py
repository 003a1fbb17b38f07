"""`deployer exec`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options

AS_TYPED = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(short_help="Run a program in a service's container.", context_settings=AS_TYPED)
@click.argument("name", metavar="SERVICE|REPLICA")
@click.argument("argv", metavar="PROGRAM...", nargs=-1, required=True, type=click.UNPROCESSED)
@shared_options(hosts=True)
def command(shared: Shared, name: str, argv: tuple[str, ...]) -> int:
    """Run a program in the container of a replica (`chat-1`), or of a service's first one that runs (`chat`).

    Options of deployer come before SERVICE; what follows it is the program's, and no shell reads it. Its output is
    printed as it comes, without the project's secrets, and the exit code is its own. It is given no input.
    """
    from deployer import workflow
    from deployer.view.json_text import FORMAT_VERSION
    from deployer.view.log_lines import render_log_line
    from deployer.workflow.running import run_in_service

    argv = argv[1:] if argv[0] == "--" and len(argv) > 1 else argv
    code, said = 1, []
    with workflow.Session.open(shared.inputs, shared.report) as session:
        for line in run_in_service(session, name, argv):
            if line.exit_code is not None:
                code = line.exit_code
            elif shared.json:
                said.append({"stream": "stderr" if line.is_error else "stdout", "text": line.text})
            else:
                show = shared.console.say if line.is_error else shared.console.result
                show(render_log_line("", line.text, 0))
    if shared.json:
        shared.console.data({"format_version": FORMAT_VERSION, "exit_code": code, "lines": said})
    return code
