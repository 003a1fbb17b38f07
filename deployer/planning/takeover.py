"""Handovers from hand-made containers: what becomes of a replica's change where `replaces` names one."""

from __future__ import annotations

from collections.abc import Iterable

from deployer.dataclass import replace
from deployer.errors import Diagnostic, warning
from deployer.planning.claims import strangers_on
from deployer.planning.handmade import HandMade, Takeovers
from deployer.planning.handover import Handover
from deployer.planning.owed import owed
from deployer.values.plan import Action, Cause, Reason


def taking_over(handover: Handover, takeovers: Takeovers) -> Handover:
    """The same with the containers that it takes over from, and with those that an earlier apply stopped for it."""
    new, change = handover.new, handover.change
    if new is None:
        return handover
    items = (*handover.live, *((handover.match,) if handover.match else ()), *handover.stale)
    taken, owed_ = new.placed.taken, owed(takeovers, handover.key, items)
    found = replace(handover, taken=taken, owed=owed_) if taken or owed_ else handover
    if not taken:
        return found
    if change.action is Action.START and any(made.runs for made in found.taken):
        change = replace(change, action=Action.REPLACE, cause=Cause.CHANGE)  # made anew, it notes whose place it takes
    reasons = (*(r for r in change.reasons if change.action is not Action.KEEP), *map(_reason, found.taken))
    if change.action is Action.KEEP or change.cause is Cause.DEFAULT:
        action = Action.UPDATE if handover.match is not None else change.action
        return replace(found, change=replace(change, action=action, cause=Cause.CHANGE, reasons=reasons))
    return replace(found, change=replace(change, reasons=reasons))


def beside(handover: Handover) -> tuple[str, ...]:
    """Ids of the strangers that are on its GPUs, and that it does not take over from: monitoring, mostly. Those that
    say how much they take of a GPU it shares are counted when it starts."""
    new = handover.new
    if new is None or not new.placed.gpus:
        return ()
    taken = {made.container.id for made in (*handover.taken, *handover.owed)}
    others = strangers_on(new.placed.facts, new.placed.gpus)
    return tuple(c.id for c in others if c.id not in taken and (c.gpu_share is None or new.placed.share is None))


def shared_gpus(handovers: Iterable[Handover]) -> list[Diagnostic]:
    """A warning for each replica that changes while a stranger is on its GPUs too."""
    return [
        warning(
            "gpu-shared",
            f"the GPUs of replica `{h.key}` on `{h.change.host}` are also held by container `{c.name}`",
            hint="stop it before the apply if it needs their memory",
        )
        for h in handovers
        if h.change.action not in (Action.KEEP, Action.REMOVE, Action.STOP) and h.new is not None
        for c in strangers_on(h.new.placed.facts, h.new.placed.gpus)
        if c.id in beside(h)
    ]


def _reason(made: HandMade) -> Reason:
    return Reason("replaces", f"takes over from hand-made container `{made.container.name}`")
