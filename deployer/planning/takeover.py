"""Handovers from hand-made containers: what becomes of a replica's change where `replaces` names one."""

from __future__ import annotations

from dataclasses import replace

from deployer.planning.diff import Handover
from deployer.planning.handmade import HandMade, Takeovers
from deployer.planning.owed import owed
from deployer.values.plan import Action, Cause, Reason


def taking_over(handover: Handover, takeovers: Takeovers) -> Handover:
    """The same with the containers that it takes over from, and with those that an earlier apply stopped for it."""
    new, change = handover.new, handover.change
    if new is None:
        return handover
    items = (*handover.live, *((handover.match,) if handover.match else ()), *handover.stale)
    found = replace(handover, taken=new.placed.taken, owed=owed(takeovers, handover.key, items))
    if not found.taken:
        return found
    reasons = (*(r for r in change.reasons if change.action is not Action.KEEP), *map(_reason, found.taken))
    if change.action is Action.KEEP or change.cause is Cause.DEFAULT:
        action = Action.UPDATE if handover.match is not None else change.action
        return replace(found, change=replace(change, action=action, cause=Cause.CHANGE, reasons=reasons))
    return replace(found, change=replace(change, reasons=reasons))


def _reason(made: HandMade) -> Reason:
    return Reason("replaces", f"takes over from hand-made container `{made.container.name}`")
