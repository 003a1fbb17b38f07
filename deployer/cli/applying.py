"""What `apply` and `destroy` share: show the plan, ask, act, tell how it ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from typing import Literal

import click

from deployer import workflow
from deployer.cli.audience import Audience, JsonAudience, TextAudience
from deployer.cli.options import Shared
from deployer.cli.refusals import problem_exit
from deployer.dataclass import dataclass
from deployer.errors import DeployerError, Diagnostic, RefusedError, Severity
from deployer.values.events import ApplyResult
from deployer.values.plan import Action, Plan


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    yes: bool
    lock_wait: float
    steps: bool = False
    verb: Literal["apply", "destroy", "rollback", "scale", "start", "stop"] = "apply"
    allow_remove: tuple[str, ...] = ()
    plan_file: str | None = None
    former: str | None = None  # the apply to go back to
    reason: str = ""
    prepared: Callable[[Shared], Shared] = lambda shared: shared  # may be refused, as the apply itself
    agreed: Callable[[], None] = lambda: None  # called before anything is done, once somebody said yes


def run_apply(shared: Shared, wish: Wish) -> int:
    """Exit codes: 0 done, 1 failed, 3 refused, 64 nobody to ask, 130 interrupted."""
    if not wish.yes and (shared.json or not sys.stdin.isatty()):
        raise click.UsageError(f"`{wish.verb}` asks before it acts, and there is no terminal to ask on: give `-y`")
    audience: Audience = JsonAudience(shared) if shared.json else TextAudience(shared, steps=wish.steps, verb=wish.verb)
    try:
        return _apply(wish.prepared(shared), wish, audience)
    except DeployerError as error:
        audience.refused(error)
        return error.exit_code


def _apply(shared: Shared, wish: Wish, audience: Audience) -> int:
    from deployer.planning.holds import refuse_held

    with workflow.Session.open(shared.inputs, shared.report) as session:
        session.meanwhile = import_what_applies
        planned = _planned(session, wish)
        plan = planned.plan
        audience.show(plan)
        refuse_held(plan.holds, session.project)
        if plan.has_errors or plan.is_empty:
            problems = tuple(p for p in plan.problems if p.severity is Severity.ERROR)
            left = () if plan.has_errors else session.settle(planned)
            shared.console.problems(left)
            audience.nothing_done(plan, (*problems, *left))
            if not plan.has_errors:
                wish.agreed()
            return problem_exit(plan.problems)
        refuse_protected(plan, wish, [n for n, service in session.project.spec.services.items() if service.protect])
        if wish.yes:
            refuse_downtime(plan)
        elif not _is_confirmed(wish):
            click.echo("nothing was changed", err=True)
            return 1
        wish.agreed()
        with audience.reporter() as reporter, workflow.interrupts(reporter.emit) as interrupt:
            orders = workflow.Orders(reporter.emit, interrupt, wish.lock_wait, wish.reason)
            result = session.apply(planned, orders)
    audience.ended(plan, result)
    return exit_code(result)


def import_what_applies() -> None:
    """Ahead of its use, while hosts are waited for."""
    import deployer.workflow.applying  # noqa: F401


def _planned(session: workflow.Session, wish: Wish) -> workflow.Planned:
    if wish.verb == "rollback":
        return session.plan_rollback(wish.former)
    if wish.plan_file is None:
        return session.plan(destroy=wish.verb == "destroy")
    from deployer.cli.planfile import read_plan

    saved = read_plan(wish.plan_file)
    session.take_over(saved)
    return saved


def _is_confirmed(wish: Wish) -> bool:
    """Only the whole word: a stray Enter must not remove a model."""
    question = "Remove all of this?" if wish.verb == "destroy" else "Do this?"
    answer: str = click.prompt(f"{question} Only `yes` is accepted", default="no", show_default=False, err=True)
    return answer.strip() == "yes"


def exit_code(result: ApplyResult) -> int:
    if result.interrupted:
        return 130
    return 0 if result.is_ok else 1


def refuse_downtime(plan: Plan) -> None:
    """RefusedError where a service is down for longer, or by more replicas, than its spec allows: nobody was asked."""
    long = [a for a in plan.rollout if a.down is not None and a.down.is_too_long]
    if long:
        from deployer.view.plan_outline import down_words

        said = "; ".join(f"`{a.service}` is {down_words(a)}" for a in long)
        hint = "apply without `-y` and say `yes`, or raise `rollout.max_downtime`"
        raise RefusedError(Diagnostic("max-downtime", f"more downtime than `-y` covers: {said}", hint=hint))
    many = [a for a in plan.rollout if a.too_many]
    if many:
        said = "; ".join(f"{a.too_many} replicas of `{a.service}` can only go down together" for a in many)
        hint = "apply without `-y` and say `yes`, or raise `rollout.max_unavailable`"
        raise RefusedError(Diagnostic("max-unavailable", f"more downtime than `-y` covers: {said}", hint=hint))


def refuse_protected(plan: Plan, wish: Wish, protected: Collection[str] = ()) -> None:
    """RefusedError when the plan removes what the spec protects (`protected`), or did when it was made, and nobody
    named it."""
    services = {
        change.key.service
        for change in plan.changes
        if change.action is Action.REMOVE
        and (change.key.service in protected or any(reason.code == "protected" for reason in change.reasons))
    }
    refused = sorted(services - set(wish.allow_remove))
    if refused:
        raise RefusedError(
            Diagnostic(
                "protected",
                f"{', '.join(f'`{name}`' for name in refused)} would be removed, and is protected",
                hint="give " + " ".join(f"`--allow-remove {name}`" for name in refused) + " if that is what you want",
            )
        )
