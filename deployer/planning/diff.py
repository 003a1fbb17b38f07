"""Desired against found, replica by replica: what changes, and why. Change, drift and default are never mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from deployer.dataclass import replace
from deployer.planning.choice import ServiceChoice
from deployer.planning.claimants import Claimants
from deployer.planning.desired import DesiredReplica
from deployer.planning.fields import field_diffs
from deployer.planning.handover import Handover, image_of
from deployer.planning.owed import fallback
from deployer.planning.reasons import BESIDE, is_unfinished, live_of, outdated, why_down, why_other
from deployer.planning.replicas import Found, surplus
from deployer.values.names import RETIRING, ReplicaKey
from deployer.values.plan import Action, Cause, Change, FieldDiff, Reason

UNUSABLE = ("created", "removing", "dead")  # made anew
PROTECTED = Reason("protected", "its service is protected")
SURPLUS = Reason("surplus", "has more former containers than `keep_revisions` keeps")
REVENANT = Reason("predecessor-restarts", "its predecessor would come back with Docker")


def handovers(
    desired: Mapping[ReplicaKey, DesiredReplica],
    found: Mapping[ReplicaKey, tuple[Found, ...]],
    unplaced: frozenset[ReplicaKey],
    stopped: Mapping[ReplicaKey, ServiceChoice] | None = None,
) -> tuple[Handover, ...]:
    """All replicas, desired or found, in key order; what could not be placed is left as it is."""
    result = []
    claimants = Claimants(desired, found)
    for key in sorted(set(desired) | set(found)):
        if key in unplaced:
            continue
        replica, items = desired.get(key), found.get(key, ())
        if replica is not None:
            result.append(_handover(replica, items, claimants))
        elif stopped is not None and key in stopped:
            result.append(_stopped(key, stopped[key], items))
        else:
            result.append(_removal(key, items))
    return tuple(result)


def is_in_the_way(replica: DesiredReplica, items: tuple[Found, ...]) -> bool:
    """A container runs on its host that it replaces now: not itself, nor one that only differs by a default."""
    old = next((i for i in items if i.is_live and i.host == replica.host), None)
    if old is None:
        return False
    same = next((i for i in items if i.is_live and i.container.name == replica.name), None)
    if same is not None:
        return bool(outdated(replica, same))
    return why_other(replica, old, (), is_unfinished(old, items))[0] is not Cause.DEFAULT


def keep_protected(handover: Handover, services: Set[str]) -> Handover:
    """The removal of a replica whose service the hosts remember as protected says so."""
    change = handover.change
    is_said = any(reason.code == PROTECTED.code for reason in change.reasons)
    if change.action is not Action.REMOVE or change.key.service not in services or is_said:
        return handover
    return replace(handover, change=replace(change, reasons=(*change.reasons, PROTECTED)))


def _removal(key: ReplicaKey, items: tuple[Found, ...]) -> Handover:
    protected = any(item.recorded.decisions.get("protect") is True for item in items)
    reasons = [Reason("not-in-spec", "is no longer in the spec")]
    if protected:
        reasons.append(PROTECTED)
    change = Change(key, items[0].host, Action.REMOVE, Cause.CHANGE, tuple(reasons), container=items[0].container.name)
    live = tuple(i for i in items if i.is_live)
    return Handover(change, live=live, stale=tuple(i for i in items if not i.is_live))


def _stopped(key: ReplicaKey, choice: ServiceChoice, items: tuple[Found, ...]) -> Handover:
    """`state: stopped`: the container is kept as it is, and what it held is free for others."""
    live, stale = live_of(items), tuple(i for i in items if not i.is_live)
    keep = choice.service.rollout.keep_revisions + 1
    reason = Reason("stopped", "is stopped, as the spec says")
    action, cause = Action.KEEP, Cause.NONE
    if live:
        action, cause, reason = Action.STOP, Cause.CHANGE, Reason("state-stopped", "the spec says `state: stopped`")
    elif leftover := _leftover(stale, surplus(stale, keep)):
        action, (cause, reason) = Action.UPDATE, leftover
    change = Change(key, items[0].host, action, cause, (reason,), container=items[0].container.name)
    return Handover(change, live=live, stale=stale, keep=keep)


def _leftover(stale: Sequence[Found], surplus: Sequence[Found]) -> tuple[Cause, Reason] | None:
    """Why something is to be done about former containers alone."""
    if any(item.would_come_back for item in stale):
        return Cause.DRIFT, REVENANT
    return (Cause.CHANGE, SURPLUS) if surplus else None


def _handover(replica: DesiredReplica, items: tuple[Found, ...], claimants: Claimants) -> Handover:
    match = _match(replica, items)
    rest = tuple(i for i in items if i is not match)
    live, stale = live_of(rest), tuple(i for i in rest if not i.is_live)
    keep = replica.choice.service.rollout.keep_revisions
    if match is None:
        change = _without_match(replica, items)
    else:
        change = _with_match(replica, match, live, _leftover(stale, surplus(stale, keep, image_of(match))))
    back = None
    if match is None or not match.is_verified:
        back = fallback(items, replica.host, lambda claim: claimants.is_free(claim, replica.key))
        back = None if back is not None and match is not None and back.container.id == match.container.id else back
    return Handover(change, new=replica, match=match, live=live, stale=stale, keep=keep, fallback=back)


def handover_back(replica: DesiredReplica, target: Found, items: tuple[Found, ...]) -> Handover:
    """To a former container of the same host."""
    rest = tuple(i for i in items if i is not target)
    live, stale = live_of(rest), tuple(i for i in rest if not i.is_live)
    change = _with_match(replica, target, live, None)
    if change.action is Action.KEEP:
        return Handover(change, new=replica, match=target)
    then = f"goes back to revision `{replica.revision}`, of apply {target.recorded.apply or 'unknown'}"
    others = tuple(reason for reason in change.reasons if reason.code == "secret-rotated")
    before = next((i.recorded.spec for i in items if i is not target and i.recorded.spec is not None), None)
    diff = field_diffs(before, replica.container) if before is not None else ()
    change = replace(change, cause=Cause.CHANGE, reasons=(Reason("rolled-back", then), *others), diff=diff)
    keep = replica.choice.service.rollout.keep_revisions
    return Handover(change, new=replica, match=target, live=live, stale=stale, keep=keep)


def handover_down(key: ReplicaKey, items: tuple[Found, ...], keep: int) -> Handover:
    """Of a replica that came later than what its service goes back to: it is stopped, and kept."""
    live, stale = live_of(items), tuple(i for i in items if not i.is_live)
    reason = Reason("not-there-then", "was not there at the revision that its service goes back to")
    action, cause = (Action.STOP, Cause.CHANGE) if live else (Action.KEEP, Cause.NONE)
    change = Change(key, items[0].host, action, cause, (reason,), container=items[0].container.name)
    return Handover(change, live=live, stale=stale, keep=keep + 1)


def _match(replica: DesiredReplica, items: tuple[Found, ...]) -> Found | None:
    """The container that is the desired one: by its name, or by that name's form for predecessors where an apply ended
    before the successor took over."""
    here = [i for i in items if i.host == replica.host and i.container.status not in UNUSABLE]
    for name in (replica.name, replica.name + RETIRING):
        for item in here:
            if item.container.name == name and (name == replica.name or _is_as_good(replica, item)):
                return item
    return None


def _is_as_good(replica: DesiredReplica, item: Found) -> bool:
    return item.is_live and item.recorded.spec is not None and not outdated(replica, item)


def _change(replica: DesiredReplica, action: Action, cause: Cause, *reasons: Reason) -> Change:
    return Change(replica.key, replica.host, action, cause, reasons, container=replica.name)


def _with_match(
    replica: DesiredReplica, match: Found, live: tuple[Found, ...], leftover: tuple[Cause, Reason] | None
) -> Change:
    """The container exists: is it running, verified, and given today's secrets?"""
    container = match.container
    if reasons := outdated(replica, match):
        return _change(replica, Action.REPLACE, Cause.CHANGE, *reasons)
    if match.recorded.spec is None:
        return _change(replica, Action.REPLACE, Cause.DRIFT, Reason("label-changed", "its labels do not fit its name"))
    if not match.is_live:
        return _stopped_match(replica, match, live)
    if container.status in ("paused", "restarting", "unresponsive"):
        return _change(replica, Action.START, Cause.DRIFT, why_down(match))
    if not match.is_verified or live:
        why = "has not answered yet" if not match.is_verified else "its predecessor still runs"
        return _change(replica, Action.UPDATE, Cause.DRIFT, Reason("unfinished", why))
    if container.name != replica.name:
        aside = Reason("name-changed", f"its container is called `{container.name}`")
        return _change(replica, Action.UPDATE, Cause.DRIFT, Reason("unfinished", "an apply ended early"), aside)
    if container.restart_policy != match.recorded.spec.restart:
        was = FieldDiff("restart", container.restart_policy, match.recorded.spec.restart)
        policy = Reason("restart-policy", f"its restart policy was changed to `{container.restart_policy}`")
        return Change(replica.key, replica.host, Action.UPDATE, Cause.DRIFT, (policy,), (was,), container=replica.name)
    if leftover is not None:
        return _change(replica, Action.UPDATE, *leftover)
    return _change(replica, Action.KEEP, Cause.NONE)


def _stopped_match(replica: DesiredReplica, match: Found, live: tuple[Found, ...]) -> Change:
    """The container is there and does not run: it is started, unless another one of the replica serves meanwhile."""
    if any(item.is_verified for item in live):
        back = Reason("revision-changed", "goes back to this revision")
        return _change(replica, Action.REPLACE, Cause.CHANGE, back)
    if live:
        return _change(replica, Action.START, Cause.DRIFT, Reason("unfinished", "an apply ended early"))
    cause = Cause.DRIFT if match.is_verified else Cause.CHANGE
    return _change(replica, Action.START, cause, why_down(match))


def _without_match(replica: DesiredReplica, items: tuple[Found, ...]) -> Change:
    old = next((i for i in items if i.container.status != "created"), None)
    if old is None:
        return _change(replica, Action.CREATE, Cause.CHANGE, Reason("new", "is not there yet"), *replica.choice.reasons)
    before = old.recorded.spec
    diff = field_diffs(before, replica.container) if before is not None else ()
    moved = old.host != replica.host
    action = Action.MOVE if moved else Action.REPLACE
    cause, reasons = why_other(replica, old, diff, is_unfinished(old, items))
    if "gpus" in replica.placed.beside and not moved:
        reasons += (Reason("beside", f"goes to another GPU, {BESIDE}"),)
    return Change(
        replica.key,
        replica.host,
        action,
        cause,
        reasons,
        diff,
        from_host=old.host if moved else None,
        container=replica.name,
    )
