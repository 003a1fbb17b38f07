"""What a replica must be given once its server answers: its tasks, who is asked about them, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable

from deployer.dataclass import replace
from deployer.planning.handover import Handover
from deployer.planning.readiness import endpoint
from deployer.values.canonical import digest
from deployer.values.codec import to_data
from deployer.values.operations import EnsureSetup, SetupQuestion
from deployer.values.plan import Action, Cause, Reason
from deployer.values.resolved import Resolved
from deployer.values.setup import SetupTask


def task_digest(task: SetupTask) -> str:
    return digest(to_data(task))


def setup_questions(handovers: Iterable[Handover]) -> tuple[SetupQuestion, ...]:
    """About containers that run, and were right when they were made."""
    return tuple(
        SetupQuestion(h.new.host, h.match.container.id, EnsureSetup(h.match.container.name, endpoint(h.new), task))
        for h in handovers
        if h.new is not None and h.match is not None and h.match.container.status == "running"
        for task in h.new.setup
    )


def with_setup(handover: Handover, resolved: Resolved) -> Handover:
    """The same with what is missing in a container that is kept; one that is verified anyway is set up then."""
    new, match, change = handover.new, handover.match, handover.change
    is_kept = change.action is Action.KEEP or all(reason.code == "surplus" for reason in change.reasons)
    if new is None or match is None or not is_kept:
        return handover
    said = resolved.setup.get(match.container.id, {})
    missing = tuple(task for task in new.setup if said.get(task_digest(task)) is False)
    if not missing:
        return handover
    cause = Cause.CHANGE if new.edited else Cause.DRIFT
    reasons = tuple(Reason("setup-missing", f"{task.name} is not as the spec says") for task in missing)
    reasons += change.reasons if change.action is Action.UPDATE else ()
    return replace(
        handover, change=replace(change, action=Action.UPDATE, cause=cause, reasons=reasons), missing=missing
    )
