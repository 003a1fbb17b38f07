"""The options that every command shares, folded into one value; and a command's failures shown the way it was asked."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import click

from deployer.cli.console import Console
from deployer.dataclass import dataclass
from deployer.errors import DeployerError
from deployer.values.events import Event
from deployer.workflow import Inputs

Command = Callable[..., int]
Decorator = Callable[[Command], Command]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the shared options said."""

    inputs: Inputs
    console: Console
    json: bool
    verbose: bool

    def report(self, event: Event) -> None:
        """What happens before an apply begins: a line on stderr."""
        from deployer.view.progress.plain import render_event

        self.console.progress(render_event(event))


def shared_options(
    *, hosts: bool, chooses: bool = False, locks: bool = False, resumes: bool = False
) -> Callable[[Command], Command]:
    """`-f -i --var --offline --json --no-color -v`, `--ssh-config` for commands that reach hosts, `--limit` and
    `--target` for those that choose what to change, `--locked` for those that look models up, `--resume` for those that
    holds meet."""

    def decorate(function: Command) -> Command:
        def called(**given: Any) -> int:
            shared = _shared(given)
            try:
                return function(shared, **given)
            except DeployerError as error:
                return fail(shared, error)

        command: Command = functools.update_wrapper(called, function)
        wanted = ((HOSTS, hosts), (CHOICE, chooses), (LOCKED, locks), (RESUME, resumes))
        for option in reversed([*SPEC, *(option for group, is_on in wanted if is_on for option in group), *OUTPUT]):
            command = option(command)
        return command

    return decorate


def failures_shown(*options: Decorator) -> Callable[[Command], Command]:
    """For commands that read no spec: only these options, and failures as every command shows them."""

    def decorate(function: Command) -> Command:
        def called(*, json: bool, no_color: bool, **given: Any) -> int:
            console = Console.of(no_colour=no_color)
            try:
                return function(console, json=json, **given)
            except DeployerError as error:
                return show_failure(console, error, json=json)

        command: Command = functools.update_wrapper(called, function)
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def fail(shared: Shared, error: DeployerError) -> int:
    return show_failure(shared.console, error, json=shared.json)


def show_failure(console: Console, error: DeployerError, *, json: bool) -> int:
    """Shows what went wrong on stderr, and under `--json` on stdout too; returns the exit code."""
    from deployer.view.diagnostics import diagnostic_json
    from deployer.view.json_text import FORMAT_VERSION

    console.problems(error.diagnostics)
    if json:
        problems = [diagnostic_json(d) for d in error.diagnostics]
        console.data({"format_version": FORMAT_VERSION, "problems": problems})
    return error.exit_code


def _shared(given: dict[str, Any]) -> Shared:
    inputs = Inputs(
        files=given.pop("files"),
        inventories=given.pop("inventories"),
        variables=given.pop("variables"),
        environment=dict(os.environ),
        ssh_config=given.pop("ssh_config", None),
        limit=given.pop("limit", ()),
        target=given.pop("target", ()),
        locked=given.pop("locked", False),
        resume=given.pop("resume", False),
        offline=given.pop("offline"),
    )
    console = Console.of(no_colour=given.pop("no_color"))
    return Shared(inputs, console, given.pop("json"), given.pop("verbose"))


def _parse_variables(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> Mapping[str, str]:
    variables = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"`{value}` is not NAME=VALUE", ctx, param)
        variables[name] = text
    return variables


SPEC: tuple[Decorator, ...] = (
    click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        default=("deploy.yaml",),
        metavar="FILE",
        help="The spec; given again, later files are merged over earlier ones.  [default: deploy.yaml]",
    ),
    click.option("-i", "--inventory", "inventories", multiple=True, metavar="FILE", help="An inventory of hosts."),
    click.option(
        "--var",
        "variables",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_parse_variables,
        help="Sets ${var.NAME} of the spec; DEPLOYER_VAR_NAME does so too.",
    ),
)
HOSTS: tuple[Decorator, ...] = (
    click.option("--ssh-config", metavar="FILE", help="Read this instead of ~/.ssh/config."),
)
CHOICE: tuple[Decorator, ...] = (
    click.option("--limit", multiple=True, metavar="HOSTS", help="Change only these hosts or groups, `a,b`."),
    click.option("--target", multiple=True, metavar="SERVICES", help="Change only these services, `a,b`."),
)
LOCKED: tuple[Decorator, ...] = (click.option("--locked", is_flag=True, help="Refuse what deploy.lock does not hold."),)
RESUME: tuple[Decorator, ...] = (
    click.option("--resume", is_flag=True, help="Move on what was rolled back: its hold ends."),
)
OUTPUT: tuple[Decorator, ...] = (
    click.option("--offline", is_flag=True, help="Refuse what would leave the given hosts, and say what it was."),
    click.option("--json", "json", is_flag=True, help="Print the result as JSON."),
    click.option("--no-color", "no_color", is_flag=True, help="No colours; NO_COLOR does so too."),
    click.option("-v", "--verbose", is_flag=True, help="Say more, tracebacks of bugs included."),
)
LOCK_WAIT = click.option(
    "--lock-wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="How long to wait for another apply to end.  [default: 0]",
)
ALLOW_REMOVE = click.option(
    "--allow-remove", multiple=True, metavar="SERVICE", help="Remove this service though it is protected."
)
ASSUME_YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
