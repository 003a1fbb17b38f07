"""`deployer verify`."""

from __future__ import annotations

import click

from deployer.cli.options import Shared, shared_options


@click.command(short_help="Send every replica a real request and judge the answer.")
@click.argument("names", nargs=-1, metavar="[SERVICE|REPLICA]...")
@shared_options(hosts=True)
def command(shared: Shared, names: tuple[str, ...]) -> int:
    """Send every running replica, or those named, the real request that an apply sends, and judge the answer.

    Exits 1 when one of them fails, does not run, or when a host could not be asked. Changes nothing.
    """
    from deployer import workflow
    from deployer.view.answers import answers_json, render_answer
    from deployer.workflow.verifying import replicas_named, verify

    answers = []
    with workflow.Session.open(shared.inputs, shared.report) as session:
        observed = session.observe()
        for answer in verify(session, replicas_named(session.project.spec, observed, names), shared.report):
            answers.append(answer)
            if not shared.json:
                shared.console.result(render_answer(answer))
                shared.console.problems([answer.problem] if answer.problem is not None else [])
    missing = [unreachable.reason for unreachable in observed.unreachable.values()]
    shared.console.problems(missing)
    if shared.json:
        shared.console.data(answers_json(answers))
    return int(bool(missing) or any(answer.problem is not None for answer in answers))
