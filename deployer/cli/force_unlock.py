"""`deployer force-unlock`."""

from __future__ import annotations

import sys

import click

from deployer.cli.options import ASSUME_YES, Shared, shared_options


@click.command(name="force-unlock", short_help="Take the project's lock away from another apply.")
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@ASSUME_YES
@shared_options(hosts=True)
def command(shared: Shared, hosts: tuple[str, ...], yes: bool) -> int:
    """Take the project's lock on all hosts, or those named, away from whoever holds it: only when that apply is
    known to be dead. A lock that nobody renews ends by itself within a minute.

    An apply that lives on stops at its next step there. Exits 1 when a host could not be asked.
    """
    from deployer import workflow
    from deployer.view.unlocking import render_locks, render_unlocked, unlocked_json
    from deployer.workflow.unlocking import locks, unlock

    if not yes and (shared.json or not sys.stdin.isatty()):
        raise click.UsageError("`force-unlock` asks before it acts, and there is no terminal to ask on: give `-y`")
    with workflow.Session.open(shared.inputs, shared.report) as session:
        held, problems = locks(session, hosts)
        project = session.project.spec.project
        shared.console.say(render_locks(project, held))
        if held and not yes and not _is_confirmed():
            click.echo("nothing was changed", err=True)
            return 1
        broken, failed = unlock(session, held)
    shared.console.problems((*problems, *failed))
    if shared.json:
        shared.console.data(unlocked_json(project, broken))
    else:
        shared.console.result(render_unlocked(broken))
    return int(bool(problems or failed))


def _is_confirmed() -> bool:
    answer: str = click.prompt("Take them away? Only `yes` is accepted", default="no", show_default=False, err=True)
    return answer.strip() == "yes"
