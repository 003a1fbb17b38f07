"""Desired against found, replica by replica: what changes, and why. Change, drift and default are never mixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from deployer.dataclass import dataclass, replace
from deployer.planning.choice import ServiceChoice
from deployer.planning.claimants import Claimants
from deployer.planning.desired import DesiredReplica
from deployer.planning.fields import field_diffs
from deployer.planning.handmade import HandMade
from deployer.planning.local_images import is_of
from deployer.planning.owed import fallback
from deployer.planning.replicas import Found, surplus
from deployer.values.image_content import ResolvedImage
from deployer.values.names import RETIRING, ReplicaKey
from deployer.values.plan import Action, Cause, Change, FieldDiff, Reason
from deployer.values.setup import SetupTask

GIB = 1 << 30
UNUSABLE = ("created", "removing", "dead")  # made anew
PROTECTED = Reason("protected", "its service is protected")
BESIDE = "so that its predecessor serves until it answers"
SURPLUS = Reason("surplus", "has more former containers than `keep_revisions` keeps")
REVENANT = Reason("predecessor-restarts", "its predecessor would come back with Docker")


@dataclass(frozen=True, slots=True)
class Handover:
    """One replica's change with the containers it is about.

    `new`: the desired replica, absent for removals. `match`: the container that is the desired one already.
    `live`: running containers that shall not run afterwards. `stale`: others of this replica, holding nothing; `keep`
    of those that do not run any more are kept. `taken`: hand-made containers it takes over from; `owed`: those that
    were stopped for it by an apply that ended early. `fallback`: what such an apply stopped of its own.
    `missing`: the setup of a container that is right otherwise.
    """

    change: Change
    new: DesiredReplica | None = None
    match: Found | None = None
    live: tuple[Found, ...] = ()
    stale: tuple[Found, ...] = ()
    keep: int = 0
    taken: tuple[HandMade, ...] = ()
    owed: tuple[HandMade, ...] = ()
    fallback: Found | None = None
    missing: tuple[SetupTask, ...] = ()

    @property
    def key(self) -> ReplicaKey:
        return self.change.key

    @property
    def containers(self) -> tuple[Found, ...]:
        return (*((self.match,) if self.match is not None else ()), *self.live, *self.stale)

    @property
    def images(self) -> tuple[str, ...]:
        """Ids of the image of what serves then, where they are known."""
        if self.match is not None and self.change.action in (Action.START, Action.UPDATE):
            return image_of(self.match)
        return self.new.image_ids if self.new is not None else ()


def image_of(found: Found) -> tuple[str, ...]:
    return (found.container.image_id,) if found.container.image_id else ()


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
        return bool(_outdated(replica, same))
    return _why_other(replica, old, (), _is_unfinished(old, items))[0] is not Cause.DEFAULT


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
    live, stale = _live(items), tuple(i for i in items if not i.is_live)
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
    live, stale = _live(rest), tuple(i for i in rest if not i.is_live)
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
    live, stale = _live(rest), tuple(i for i in rest if not i.is_live)
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
    live, stale = _live(items), tuple(i for i in items if not i.is_live)
    reason = Reason("not-there-then", "was not there at the revision that its service goes back to")
    action, cause = (Action.STOP, Cause.CHANGE) if live else (Action.KEEP, Cause.NONE)
    change = Change(key, items[0].host, action, cause, (reason,), container=items[0].container.name)
    return Handover(change, live=live, stale=stale, keep=keep + 1)


def _live(items: Iterable[Found]) -> tuple[Found, ...]:
    return tuple(i for i in items if i.is_live)


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
    return item.is_live and item.recorded.spec is not None and not _outdated(replica, item)


def _change(replica: DesiredReplica, action: Action, cause: Cause, *reasons: Reason) -> Change:
    return Change(replica.key, replica.host, action, cause, reasons, container=replica.name)


def _with_match(
    replica: DesiredReplica, match: Found, live: tuple[Found, ...], leftover: tuple[Cause, Reason] | None
) -> Change:
    """The container exists: is it running, verified, and given today's secrets?"""
    container = match.container
    outdated = _outdated(replica, match)
    if outdated:
        return _change(replica, Action.REPLACE, Cause.CHANGE, *outdated)
    if match.recorded.spec is None:
        return _change(replica, Action.REPLACE, Cause.DRIFT, Reason("label-changed", "its labels do not fit its name"))
    if not match.is_live:
        return _stopped_match(replica, match, live)
    if container.status in ("paused", "restarting", "unresponsive"):
        return _change(replica, Action.START, Cause.DRIFT, _why_down(match))
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
    return _change(replica, Action.START, cause, _why_down(match))


def _why_down(match: Found) -> Reason:
    container = match.container
    if container.status == "exited" and not match.is_verified:
        return Reason("stopped", "is stopped")  # what deployer stops gets the restart policy `no`
    if container.status == "exited":
        memory = ", out of memory" if container.oom_killed else ""
        return Reason("exited", f"its container exited with code {container.exit_code}{memory}")
    if container.status == "unresponsive":
        return Reason("unresponsive", "its container runs and does not serve")
    return Reason(container.status, f"its container is {container.status}")


def _outdated(replica: DesiredReplica, match: Found) -> tuple[Reason, ...]:
    """What makes another container of one that was made from the very same."""
    rotated = (_rotation(name) for name in _rotated(replica, match))
    return (*rotated, *_other_image(replica, match), *_other_share(replica, match))


def _other_share(replica: DesiredReplica, match: Found) -> tuple[Reason, ...]:
    """Its label says to all projects of its host how much of its GPUs is its own."""
    has, wanted = match.container.gpu_share, replica.placed.share
    if has == wanted or not replica.placed.gpus:
        return ()
    return (Reason("share-changed", f"is to have {_of_gpus(wanted)}, and has {_of_gpus(has)}"),)


def _of_gpus(share: int | None) -> str:
    return "its GPUs alone" if share is None else f"{share / GIB:.1f} GiB of each of its GPUs"


def _other_image(replica: DesiredReplica, match: Found) -> tuple[Reason, ...]:
    """It runs another image of that name than the one that is pinned."""
    wanted, has, spec = replica.image, match.container.image_id, match.recorded.spec
    if not isinstance(wanted, ResolvedImage) or not wanted.pinned or not has:
        return ()
    if spec is None or spec.image != replica.container.image:
        return ()  # that says enough
    image = next((image for image in match.facts.images if image.id == has), None)
    if has in wanted.ids or (image is not None and is_of(image, wanted)):
        return ()
    content = wanted.on(match.facts.arch)
    now = (content.config.digest if content is not None else wanted.digest or "")[:19]
    where = f"`{wanted.archive}`" if wanted.archive else "deploy.lock"
    return (Reason("image-moved", f"its image `{wanted.reference}` is {has[:19]}, {where} has {now}"),)


def _rotated(replica: DesiredReplica, match: Found) -> list[str]:
    """Secrets whose value is known to differ; one that is not at hand is not checked."""
    recorded = match.recorded.secrets
    known = {name: value for name, value in replica.secrets.items() if value is not None and name in recorded}
    return sorted(name for name, value in known.items() if recorded[name] != value)


def _rotation(name: str) -> Reason:
    return Reason("secret-rotated", f"secret `{name}` has another value")


def _without_match(replica: DesiredReplica, items: tuple[Found, ...]) -> Change:
    old = next((i for i in items if i.container.status != "created"), None)
    if old is None:
        return _change(replica, Action.CREATE, Cause.CHANGE, Reason("new", "is not there yet"), *replica.choice.reasons)
    before = old.recorded.spec
    diff = field_diffs(before, replica.container) if before is not None else ()
    moved = old.host != replica.host
    action = Action.MOVE if moved else Action.REPLACE
    cause, reasons = _why_other(replica, old, diff, _is_unfinished(old, items))
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


def _is_unfinished(old: Found, items: tuple[Found, ...]) -> bool:
    """What an apply that ended early may leave: a container that has not answered, or its predecessor beside it."""
    return old.is_live and (not old.is_verified or len(_live(items)) > 1 or old.container.name.endswith(RETIRING))


def _why_other(
    replica: DesiredReplica, old: Found, diff: tuple[FieldDiff, ...], is_unfinished: bool = False
) -> tuple[Cause, tuple[Reason, ...]]:
    """Why a replica needs another container than the one it has."""
    asked = _what_was_asked(replica, old)
    drifted = _what_drifted(replica, old, is_explained=bool(asked))
    if asked:
        return Cause.CHANGE, (*asked, *drifted)
    if drifted:
        return Cause.DRIFT, drifted
    if is_unfinished:
        return Cause.DRIFT, (Reason("unfinished", "an apply ended early"),)
    names = ", ".join(d.path for d in diff[:4])
    return Cause.DEFAULT, (Reason("default-changed", f"only defaults differ ({names})"),)


def _what_was_asked(replica: DesiredReplica, old: Found) -> tuple[Reason, ...]:
    return (*_outdated(replica, old), *(Reason("spec-changed", edit) for edit in replica.edited))


def _what_drifted(replica: DesiredReplica, old: Found, is_explained: bool) -> tuple[Reason, ...]:
    reasons = []
    if old.recorded.spec is None:
        reasons.append(Reason("label-changed", "its labels do not say what it was made from"))
    if old.host != replica.host:
        so_that = f", {BESIDE}" if "host" in replica.placed.beside else ""
        reasons.append(Reason("host-changed", f"moves from `{old.host}` to `{replica.host}`{so_that}"))
    elif not is_explained:
        for name, value in (("gpus", list(replica.placed.gpus)), ("port", replica.placed.port)):
            if old.recorded.decisions.get(name) != value and name not in replica.placed.beside:
                word = {"gpus": "GPUs", "port": "port"}[name]
                reasons.append(Reason(f"{name}-changed", f"its {word} can no longer be the same"))
        if old.recorded.decisions.get("weights", replica.decisions["weights"]) != replica.decisions["weights"]:
            reasons.append(Reason("model-changed", "other files are there for its model"))
    if old.container.status != "running":
        reasons.append(_why_down(old))
    return tuple(reasons)
