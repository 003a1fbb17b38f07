"""`deployer cache ls`, `verify`, `prune` and `pull`."""

from __future__ import annotations

import sys

import click

from deployer.cli.options import ASSUME_YES, Shared, shared_options
from deployer.errors import DeployerError, Diagnostic, Severity, UsageError

HOSTS = click.argument("hosts", nargs=-1, metavar="[HOST]...")


@click.group(name="cache", short_help="Show, check, tidy up and fill the hosts' caches of weights.")
def command() -> None:
    """Show, check, tidy up and fill the hosts' caches of weights."""


@command.command(short_help="Show which models are there, and who uses them.")
@HOSTS
@shared_options(hosts=True)
def ls(shared: Shared, hosts: tuple[str, ...]) -> int:
    """Show which models are in the caches of all hosts, or of those named, and who uses them."""
    from deployer import workflow
    from deployer.view.caches import caches_json, render_caches
    from deployer.workflow.cache_looks import look

    with workflow.Session.open(shared.inputs, shared.report) as session:
        found = look(session, hosts)
    problems = [cache.problem for cache in found if cache.problem is not None]
    shared.console.problems(problems)
    if shared.json:
        shared.console.data(caches_json(found))
    else:
        shared.console.result(render_caches(found))
    return _exit_code(problems)


@command.command(short_help="Read every file again, and repair what is wrong.")
@HOSTS
@shared_options(hosts=True)
def verify(shared: Shared, hosts: tuple[str, ...]) -> int:
    """Read every file of every model in the caches; one that is not right any more is fetched anew, and only that one.

    What runs keeps the file that it has open: restart it where one was repaired. Copies in `model_dirs` that are in use
    are read again too, and never written.
    """
    from deployer import workflow
    from deployer.cli.audience import reporter_for
    from deployer.view.caches import checked_json, render_checked
    from deployer.workflow.cache_looks import look
    from deployer.workflow.caches import verify_caches, verify_copies

    with (
        workflow.Session.open(shared.inputs, shared.report) as session,
        reporter_for(shared.console) as reporter,
        workflow.interrupts(reporter.emit) as interrupt,
    ):
        found = look(session, hosts)
        checked = verify_caches(session, found, workflow.Orders(reporter.emit, interrupt))
        copies = verify_copies(session, found, workflow.Orders(reporter.emit, interrupt))
    problems = [cache.problem for cache in found if cache.problem is not None]
    problems += [one.problem for one in checked if one.problem is not None]
    problems += [one.problem for one in copies if one.problem is not None]
    shared.console.problems(problems)
    if shared.json:
        shared.console.data(checked_json(checked, copies))
    else:
        shared.console.result(render_checked(checked, copies))
    return _exit_code(problems)


@command.command(short_help="Remove what no container uses and the spec does not need.")
@HOSTS
@click.option("--budget", metavar="SIZE", help="Only the oldest, until what is left takes no more than this: 500g.")
@click.option("--shared", "is_ours", is_flag=True, help="Also on a file server: this spec has all hosts that use it.")
@ASSUME_YES
@shared_options(hosts=True)
def prune(shared: Shared, hosts: tuple[str, ...], budget: str | None, is_ours: bool, yes: bool) -> int:
    """Remove what no container of any project uses, running or stopped, and what this spec does not need."""
    from deployer import workflow
    from deployer.planning.caches import prunable
    from deployer.view.caches import removals_json, render_removals
    from deployer.workflow.cache_looks import look
    from deployer.workflow.caches import remove_all, to_remove

    if not yes and (shared.json or not sys.stdin.isatty()):
        raise click.UsageError("`cache prune` asks before it acts, and there is no terminal to ask on: give `-y`")
    with workflow.Session.open(shared.inputs, shared.report) as session:
        found = look(session, hosts)
        chosen, kept = prunable(found, is_ours=is_ours)
        wanted = to_remove(session, chosen, _size(budget))
        if not shared.json:
            shared.console.result(render_removals(wanted))
        if wanted and not yes and click.prompt("Do this? Only `yes` is accepted", default="no", err=True) != "yes":
            return 1
        done = remove_all(session, wanted)
    refused = [outcome for outcome in done.values() if isinstance(outcome, DeployerError)]
    problems = [*kept, *(error.diagnostics[0] for error in refused)]
    problems += [cache.problem for cache in found if cache.problem]
    shared.console.problems(problems)
    if shared.json:
        shared.console.data(removals_json(done))
    return _exit_code(problems)


@command.command(short_help="Fetch what an apply would, and start nothing.")
@shared_options(hosts=True, chooses=True, locks=True)
def pull(shared: Shared) -> int:
    """Bring the images and weights to the hosts that an apply would bring there. No container is touched."""
    from deployer import workflow
    from deployer.cli.applying import exit_code
    from deployer.cli.audience import Audience, JsonAudience, TextAudience
    from deployer.cli.refusals import problem_exit
    from deployer.workflow.caches import pull as pull_all
    from deployer.workflow.caches import pulling

    audience: Audience = JsonAudience(shared) if shared.json else TextAudience(shared, steps=True, verb="apply")
    with workflow.Session.open(shared.inputs, shared.report) as session:
        planned = session.plan()
        if planned.plan.has_errors:
            shared.console.problems(planned.plan.problems)
            return problem_exit(planned.plan.problems)
        wanted = pulling(planned)
        with audience.reporter() as reporter, workflow.interrupts(reporter.emit) as interrupt:
            result = pull_all(session, wanted, workflow.Orders(reporter.emit, interrupt))
    audience.ended(wanted.plan, result)
    return exit_code(result)


def _exit_code(problems: list[Diagnostic]) -> int:
    return int(any(problem.severity is Severity.ERROR for problem in problems))


def _size(text: str | None) -> int | None:
    from deployer.spec.language.base import parse_size

    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise UsageError(Diagnostic("usage", f"`--budget`: {error}", hint="write it as `40g`")) from None
