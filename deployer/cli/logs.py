"""`deployer logs`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options
from deployer.errors import Diagnostic, UsageError


@click.command(short_help="Show the log of a service's containers.")
@click.argument("name", metavar="SERVICE|REPLICA")
@click.option("--follow", is_flag=True, help="Go on as the log grows, until Ctrl-C.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each container.")
@click.option("--since", metavar="DURATION", help="Only what was written within it: 90s, 20m, 2h.")
@shared_options(hosts=True)
def command(shared: Shared, name: str, follow: bool, tail: int | None, since: str | None) -> int:
    """Show the log of a service's containers (`chat`) or of one replica (`chat-1`).

    Of several, each line begins with its replica.
    """
    from deployer import workflow
    from deployer.view.log_lines import log_line_json, render_log_line
    from deployer.workflow.logs import Which, chosen, read_logs

    which = Which(name, follow, tail, _seconds(since))
    failed = False
    with workflow.Session.open(shared.inputs, shared.report) as session:
        meant = chosen(session.observe(), name)
        width = max(len(str(item.recorded.key)) for item in meant) if len(meant) > 1 else 0
        for line in read_logs(session, meant, which):
            if line.problem is not None:
                failed = True
                shared.console.problems([line.problem])
            elif shared.json:
                shared.console.text(log_line_json(line.replica, line.host, line.text))
            else:
                shared.console.result(render_log_line(line.replica, line.text, width))
    return int(failed)


def _seconds(since: str | None) -> float | None:
    from deployer.spec.language.base import parse_duration

    try:
        return None if since is None else parse_duration(since)
    except ValueError as error:
        raise UsageError(Diagnostic("usage", f"`--since`: {error}")) from None
