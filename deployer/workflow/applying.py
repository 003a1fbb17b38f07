"""Apply: lock, look again, refuse if the hosts moved, do the steps, look once more. Destroy is the same, to nothing."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Set
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from deployer.dataclass import replace
from deployer.engine.context import ApplyContext
from deployer.engine.execute import execute
from deployer.engine.lease import Leases, LockWait, acquire
from deployer.engine.lock import Holder
from deployer.engine.perform import Performer
from deployer.engine.record_writing import record_parting
from deployer.errors import DeployerError, Diagnostic, InterruptedByUser, RefusedError, Severity
from deployer.planning.choice import built_in_backends
from deployer.planning.dropped import records_to_write
from deployer.planning.holds import refuse_held
from deployer.planning.repair import refuse_overtaken
from deployer.transport.sdk import import_sdk
from deployer.values.events import ApplyResult, Event, Note, StepUndone
from deployer.values.facts import ObservedState
from deployer.values.plan import Change, Plan
from deployer.workflow.closing import Closing, Records
from deployer.workflow.holding import holds_after, let_go, write_ahead
from deployer.workflow.images import registries_of
from deployer.workflow.looking import begun, speaking
from deployer.workflow.orders import Orders
from deployer.workflow.session import Planned, Session
from deployer.workflow.stale import refuse_stale


def apply(session: Session, planned: Planned, orders: Orders) -> ApplyResult:
    """RefusedError when another apply holds a lock, or when the hosts are no longer what the plan was shown for."""
    spec = session.project.spec
    who = f"watch of {who_applies()}" if orders.watches else who_applies()
    holder = Holder(spec.project, new_apply_id(), who)
    begun(import_sdk)
    with _locked(session, planned, holder, orders) as leases:
        again = session.plan(destroy=planned.destroy, back=planned.back, then=planned)
        if planned.saved_selection is not None:
            refuse_stale(planned.plan, again)
        refuse_held(again.plan.holds, session.project)
        refuse_moved(planned.plan, again.plan)
        if orders.watches:
            refuse_overtaken(again.plan, again.observed, session.project)
        closing = Closing(session, planned, again.plan, holder, leases)
        try:
            held = write_ahead(session, again, holder, orders.reason)
            result, records = _perform(session, again, orders, leases, holder)
            if planned.back is not None and not result.is_ok and not result.interrupted:
                held = let_go(session, again, holder)
        except (InterruptedByUser, KeyboardInterrupt):
            closing.stop(orders.report)
            raise
        except DeployerError:
            closing.fail(orders.report)
            raise
        warnings = (*held, *closing.close(result, records, orders.report))
    return replace(result, problems=(*result.problems, *warnings))


def _locked(session: Session, planned: Planned, holder: Holder, orders: Orders) -> Leases:
    wait = LockWait(orders.lock_wait, orders.report, orders.pause)
    with speaking(orders.report, lambda seconds: f"still taking the locks of the hosts ({seconds:.0f} s)"):
        return acquire(session.fleet, planned.observed.reachable, holder, wait)


def _perform(
    session: Session, planned: Planned, orders: Orders, leases: Leases, holder: Holder
) -> tuple[ApplyResult, Records]:
    """The steps, and where all were done a last look at their hosts; with it the records that are to be written."""
    spec = session.project.spec
    not_undone: list[StepUndone] = []

    def report(event: Event) -> None:
        if isinstance(event, StepUndone) and event.diagnostic is not None:
            not_undone.append(event)
        orders.report(event)

    known = {host: facts.gpus for host, facts in planned.observed.reachable.items()}
    context = ApplyContext(
        spec.project,
        spec.id,
        holder.apply,
        session.secrets,
        spec.registries,
        leases.fence,
        is_locked=True,
        hubs=spec.hubs,
        folder=Path(session.project.path).parent,
        images=registries_of(session),
        gpus=known,
        built_in=built_in_backends(spec),
    )
    try:
        outcomes = execute(planned.plan.steps, Performer(context, session.fleet), report, orders.interrupt)
    finally:
        context.peers.close()
    result = ApplyResult(holder.apply, outcomes, interrupted=orders.interrupt.is_set, not_undone=tuple(not_undone))
    if not result.is_ok:
        return result, {}
    orders.report(Note("looking at the hosts once more"))
    after = session.plan(destroy=planned.destroy, back=planned.back, known=untouched(planned))
    found = mismatches(after.plan)
    return replace(result, problems=found), {} if found else _records(session, after, holder, context.completing)


def untouched(planned: Planned) -> ObservedState:
    """What is known of the hosts that no step was for."""
    touched = {step.host for step in planned.plan.steps}
    return ObservedState({name: host for name, host in planned.observed.hosts.items() if name not in touched})


def settle(session: Session, planned: Planned) -> tuple[Diagnostic, ...]:
    """Of a plan without steps: only the record of the project's hosts may be out of date. Returns warnings; where
    another apply is at work nothing is done, since that one brings it up to date."""
    holder = Holder(session.project.spec.project, new_apply_id(), who_applies())
    if planned.saved_selection is not None:
        return ()  # it was observed some time ago
    holds = holds_after(session, planned)
    if not records_to_write(session.project, planned.observed, holder.apply, destroy=planned.destroy, holds=holds):
        return ()
    try:
        with acquire(session.fleet, planned.observed.reachable, holder) as leases:
            records = _records(session, planned, holder)
            return leases.release({host: [record_parting(holder, record)] for host, record in records.items()})
    except RefusedError:
        return ()
    except DeployerError as error:
        return tuple(replace(found, severity=Severity.WARNING) for found in error.diagnostics)


def _records(
    session: Session, after: Planned, holder: Holder, completing: Set[tuple[str, str]] = frozenset()
) -> Records:
    """Where the project runs now, and what was found out, for each host that has it otherwise."""
    holds = holds_after(session, after)
    return records_to_write(
        session.project, after.observed, holder.apply, destroy=after.destroy, completing=completing, holds=holds
    )


def new_apply_id() -> str:
    """Letters and digits; sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}{token_hex(4)}"


def who_applies() -> str:
    """Shown to those who find the lock: user, controller and process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (pid {os.getpid()})"


def refuse_moved(shown: Plan, again: Plan) -> None:
    """Raises RefusedError `hosts-moved` when a plan made now asks for something else than the one that was shown."""
    before, now = {_asked(c) for c in shown.pending}, {_asked(c) for c in again.pending}
    errors = [p for p in again.problems if p.severity is Severity.ERROR]
    if before == now and not errors:
        return
    evidence = [f"no longer: {_said(c)}" for c in shown.pending if _asked(c) not in now]
    evidence += [f"now also: {_said(c)}" for c in again.pending if _asked(c) not in before]
    moved = Diagnostic(
        "hosts-moved",
        "the hosts changed since the plan was shown, so nothing was done",
        evidence=tuple(evidence),
        hint="look at the new plan and apply again",
    )
    raise RefusedError([moved, *errors])


def _asked(change: Change) -> tuple[object, ...]:
    return (change.key, change.action, change.host, change.from_host, change.container)


def _said(change: Change) -> str:
    why = "; ".join(reason.message for reason in change.reasons)
    return f"{change.action} {change.key} on {change.host}: {why}"


def mismatches(after: Plan) -> tuple[Diagnostic, ...]:
    """What a plan made after a successful apply still asks for: each is a failure of that apply."""
    found = [
        Diagnostic(
            "not-as-planned",
            f"replica `{change.key}` on `{change.host}` is not as the spec says, though every step was done",
            evidence=tuple(reason.message for reason in change.reasons),
            hint=f"look at `deployer logs {change.key}`, then apply again",
            host=change.host,
        )
        for change in after.pending
    ]
    return (*found, *(p for p in after.problems if p.severity is Severity.ERROR))
