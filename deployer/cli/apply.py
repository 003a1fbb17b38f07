"""`deployer apply`."""

from __future__ import annotations

import click
from click.core import ParameterSource

from deployer.cli.applying import Wish, run_apply
from deployer.cli.options import ALLOW_REMOVE, ASSUME_YES, LOCK_WAIT, Shared, shared_options
from deployer.cli.permits import Permits, permits
from deployer.dataclass import replace
from deployer.errors import Diagnostic, UsageError


@click.command(short_help="Make the hosts what the spec says.")
@click.argument("plan_file", metavar="[PLAN]", required=False)
@ASSUME_YES
@LOCK_WAIT
@ALLOW_REMOVE
@click.option("--bundle", metavar="PATH", help="Take all from this bundle, or from the one loaded for a project.")
@permits
@click.option("--steps", is_flag=True, help="Show every step of the plan.")
@shared_options(hosts=True, chooses=True, locks=True, resumes=True)
def command(
    shared: Shared,
    plan_file: str | None,
    yes: bool,
    lock_wait: float,
    allow_remove: tuple[str, ...],
    bundle: str | None,
    given: Permits,
    steps: bool,
) -> int:
    """Show the plan, ask, and make the hosts what the spec says.

    PLAN is a file that `deployer plan -o` wrote: what it shows is done, or nothing where a host moved since.

    With `--bundle` the spec is the one in the bundle, unless `-f` names another; no hub and no registry is asked.

    Ends only when each model has answered a real request. Ctrl-C finishes or undoes what runs; a second one stops at
    once. Either way the next apply carries on.
    """
    if bundle is not None and plan_file is not None:
        raise UsageError(Diagnostic("usage", "a saved plan and `--bundle` exclude each other", hint="leave one out"))
    wish = Wish(yes=yes, lock_wait=lock_wait, allow_remove=allow_remove, steps=steps, plan_file=plan_file)
    if bundle is not None:
        wish = replace(wish, prepared=lambda known: with_bundle(known, bundle, given))
    return run_apply(shared, wish)


def with_bundle(shared: Shared, path: str, given: Permits) -> Shared:
    """The same with all that a bundle brings, once every byte of it was seen to be right."""
    from deployer.cli.audience import reporter_for
    from deployer.weights.bundles.store import Store
    from deployer.workflow import bundles

    environment = shared.inputs.environment
    with reporter_for(shared.console) as reporter:
        used = bundles.bring(path, given.allowed(environment), Store.of(environment), reporter.emit)
    source = click.get_current_context().get_parameter_source("files")
    at_hand = source is not ParameterSource.DEFAULT
    return replace(shared, inputs=bundles.with_bundle(shared.inputs, used, spec_at_hand=at_hand))
