"""`deployer watch`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from deployer.cli.options import Shared, shared_options

if TYPE_CHECKING:
    from deployer.values.watching import Told

SHORTEST = 1.0  # seconds


def _parse_interval(ctx: click.Context, param: click.Parameter, text: str) -> float:
    from deployer.spec.language.base import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None
    if seconds < SHORTEST:
        raise click.BadParameter("hosts are looked at once a second at most", ctx, param)
    return seconds


@click.command(short_help="Bring back what served and does not any more, again and again.")
@click.option(
    "--interval", default="60s", metavar="DURATION", callback=_parse_interval, help="Between two looks.  [default: 60s]"
)
@click.option("--install", is_flag=True, help="Write a systemd unit that watches, instead of watching.")
@shared_options(hosts=True, chooses=True, locks=True)
def command(shared: Shared, interval: float, install: bool) -> int:
    """Look at the replicas again and again, and bring back those that served and do not any more: crashed, removed,
    or running and not serving, or without its GPUs, at three looks in a row, for a minute at least.

    Waits ever longer between two attempts at one replica, up to `restart_backoff.max_delay` of its service. Applies no
    edit of the spec, brings back nothing that an apply took away, and does nothing while somebody applies. Ends by
    Ctrl-C or SIGTERM.
    """
    return _install(shared, interval) if install else _watch(shared, interval)


def _watch(shared: Shared, interval: float) -> int:
    from deployer import workflow
    from deployer.values.watching import Told
    from deployer.workflow.watching import Watching

    project = workflow.load(shared.inputs).spec.project
    _tell(shared, Told("watching", f"project `{project}`, every {interval:.0f} s"))
    with workflow.interrupts(lambda event: None) as interrupt:
        Watching(shared.inputs, lambda told: _tell(shared, told), interrupt).keep_on(interval)
    raise AssertionError("it is kept on until it is interrupted")


def _tell(shared: Shared, told: Told) -> None:
    from deployer.view.watching import render_told, told_json

    time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if shared.json:
        from deployer.view.json_text import render_json

        shared.console.text(render_json(told_json(told, time), indent=None))
    else:
        shared.console.result(render_told(told, time))


def _install(shared: Shared, interval: float) -> int:
    from deployer.workflow import load
    from deployer.workflow.installing import install_watch

    spec = load(shared.inputs).spec
    written = install_watch(shared.inputs, spec.project, interval)
    data: dict[str, Any] = {"unit": written.path, "commands": list(written.commands)}
    if shared.json:
        from deployer.view.json_text import FORMAT_VERSION

        shared.console.data({"format_version": FORMAT_VERSION, **data})
        return 0
    click.echo(f"{written.path} is written. It starts with:", err=True)
    for line in written.commands:
        click.echo(line)
    click.echo(f"Secrets and HTTPS_PROXY from the environment belong into {written.secrets} (mode 0600).", err=True)
    sys.stderr.flush()
    return 0
