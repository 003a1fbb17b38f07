"""Holds of one apply: which stand after it, those that a rollback leaves, and what is written down ahead of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deployer.dataclass import replace
from deployer.engine.lock import Holder
from deployer.engine.record_writing import write_records
from deployer.errors import Diagnostic
from deployer.planning.decisions import Written
from deployer.planning.dropped import records_to_write
from deployer.planning.holds import holds_left
from deployer.planning.hosts import HostIndex
from deployer.planning.selection import Selection, selection_of
from deployer.values.plan import Action
from deployer.values.records import Hold

if TYPE_CHECKING:
    from deployer.planning.former import Back
    from deployer.workflow.session import Planned, Session

NOTHING = Selection(services=frozenset())


def holds_after(session: Session, planned: Planned) -> tuple[Hold, ...]:
    """Those that stand when an apply is at its end: of a destroyed project none, and a rollback ends none."""
    if planned.destroy:
        return ()
    project, inputs = session.project, session.inputs
    chosen = NOTHING if planned.back is not None else selection_of(project.spec, inputs.limit, inputs.target)
    chosen = replace(chosen, replicas=session.only)
    written = Written(project, HostIndex(project.spec))
    return holds_left(project, planned.observed.reachable, written, chosen, resume=inputs.resume)


def new_holds(session: Session, back: Back, holder: Holder, reason: str) -> tuple[Hold, ...]:
    project = session.project
    written = Written(project, HostIndex(project.spec))
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return tuple(
        Hold(
            service,
            written.service(service),
            holder.who,
            now,
            reason,
            holder.apply,
            {str(key): name for key, name in back.targets.items() if key.service == service and name is not None},
        )
        for service in back.services
    )


def write_ahead(session: Session, planned: Planned, holder: Holder, reason: str) -> tuple[Diagnostic, ...]:
    """Before anything is changed: a rollback that dies half-way is not undone by the next apply, and what an apply
    takes away that dies half-way is not brought back by a watch. Returns warnings."""
    leaving = [c.key for c in planned.plan.pending if c.action in (Action.REMOVE, Action.STOP)]
    back, project = planned.back, session.project
    if back is None and not leaving:
        return ()
    written = Written(project, HostIndex(project.spec))
    holds = holds_left(project, planned.observed.reachable, written, NOTHING)
    if back is not None:
        others = (hold for hold in holds if hold.service not in back.services)
        holds = (*others, *new_holds(session, back, holder, reason))
    wanted = records_to_write(project, planned.observed, holder.apply, holds=holds, leaving=leaving)
    return write_records(session.fleet, holder, wanted)


def let_go(session: Session, planned: Planned, holder: Holder) -> tuple[Diagnostic, ...]:
    """Of a rollback that failed: what was held before it, still is."""
    holds = holds_after(session, planned)
    wanted = records_to_write(session.project, session.observe(), holder.apply, holds=holds)
    return write_records(session.fleet, holder, wanted)
