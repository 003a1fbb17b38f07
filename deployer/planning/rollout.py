"""Changes to steps: what waits for what, what follows a failure, and what stays ready meanwhile.

The order follows claims: stop-first where a successor claims what a running container holds, start-first elsewhere.
A container gets the restart policy `no` until it has answered; the last step of its start sets the wanted one. So a
plan after a crash sees what was verified, and what was not never comes back by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from deployer.planning.claimorder import Waits, components, needs_own_stop, waits_for
from deployer.planning.desired import DesiredReplica, labels_of
from deployer.planning.diff import Handover
from deployer.planning.readiness import await_ready, probe
from deployer.planning.replicas import Found, surplus
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.images import parse_image, registry_of
from deployer.values.names import RETIRING, ReplicaKey
from deployer.values.plan import (
    Action,
    Cause,
    CreateContainer,
    MakeDirectory,
    Operation,
    PullImage,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    Step,
    StopContainer,
    UpdateContainer,
)

CREATES = (Action.CREATE, Action.REPLACE, Action.MOVE)


@dataclass(slots=True)
class Rollout:
    """Steps while they are being laid out; `first`, `stopped` and `ready` are step ids by replica."""

    project: Project
    handovers: tuple[Handover, ...]
    steps: dict[str, Step] = field(default_factory=dict)
    stopped: dict[ReplicaKey, list[str]] = field(default_factory=dict)
    ready: dict[ReplicaKey, str] = field(default_factory=dict)
    stop_first: set[ReplicaKey] = field(default_factory=set)
    by_key: dict[ReplicaKey, Handover] = field(default_factory=dict)
    together: dict[ReplicaKey, tuple[ReplicaKey, ...]] = field(default_factory=dict)  # only down at the same time

    def lay_out(self) -> tuple[Step, ...]:
        pending = tuple(h for h in self.handovers if h.change.action is not Action.KEEP and not _is_default(h))
        waits = waits_for(pending)
        groups = components(waits)
        self.by_key = {h.key: h for h in pending}
        self.together = {key: group for group in groups for key in group if len(group) > 1}
        for h in pending:
            if h.key in self.together or needs_own_stop(h) or _recreates(h):
                self.stop_first.add(h.key)
        before: dict[str, list[ReplicaKey]] = {}
        for key in (key for group in groups for key in group):
            handover = self.by_key[key]
            window = self._window(handover, before.setdefault(key.service, []))
            self._lay_out_one(handover, window)
            if handover.change.action in (Action.REPLACE, Action.MOVE):
                before[key.service].append(key)
        self._add_claim_needs(waits)
        self._hold_retirements()
        return in_order(self.steps.values())

    # --- one replica ---------------------------------------------------------------

    def _lay_out_one(self, h: Handover, window: tuple[str, ...]) -> None:
        match h.change.action:
            case Action.CREATE | Action.REPLACE | Action.MOVE:
                self._successor(h, window)
            case Action.START | Action.UPDATE:
                self._revive(h)
            case Action.STOP:
                for found in (h.match, *h.live):
                    if found is not None and found.is_live:
                        self._stop(h, found, (), why="the spec says `state: stopped`")
            case Action.REMOVE:
                for found in (*h.live, *h.stale):
                    step = self._add(h, found.host, "remove", _remove(found), (), why=h.change.reasons[0].message)
                    self.stopped.setdefault(h.key, []).append(step)

    def _successor(self, h: Handover, window: tuple[str, ...]) -> None:
        new = _present(h.new)
        prepared = (*self._prepare(new), *window)
        undo: tuple[Operation, ...] = (_remove_new(new),)
        olds = [*h.live]
        if h.match is not None and h.match.is_live:  # the successor has the same name
            away = RenameContainer(h.match.container.name, h.match.container.id, new.name + RETIRING)
            back = RenameContainer(away.to, away.id, new.name)
            renamed = self._add(h, new.host, "rename", away, prepared, why="its successor has the same name")
            prepared, undo = (renamed,), (*undo, back)
            olds.append(replace(h.match, container=replace(h.match.container, name=away.to)))
        create = CreateContainer(new.name, new.container, labels_of(self.project, new))
        first = self._add(h, new.host, "create", create, prepared, undo[1:], why=_why(h))
        needs: tuple[str, ...] = (first,)
        if h.key in self.stop_first:
            undo = (*self._others_removed(h), *undo, *self._restarts(h, olds))
            needs = tuple(self._stop(h, found, (first,), _keep_undo(h, undo)) for found in olds) or needs
        self._verify(h, new, needs, _keep_undo(h, undo), None)
        if h.key not in self.stop_first:
            for found in olds:
                self._stop(h, found, (self.ready[h.key],), why="its successor answers")
        self._retire(h, olds)

    def _others_removed(self, h: Handover) -> tuple[Operation, ...]:
        """Replicas that can only be swapped together are undone together: first every successor on this host."""
        others = (self.by_key[key] for key in self.together.get(h.key, ()) if key != h.key)
        return tuple(_remove_new(o.new) for o in others if o.new is not None and o.new.host == _present(h.new).host)

    def _restarts(self, h: Handover, olds: Sequence[Found]) -> tuple[Operation, ...]:
        """Then every predecessor on this host."""
        host = _present(h.new).host
        others = [f for key in self.together.get(h.key, ()) if key != h.key for f in self.by_key[key].live]
        return tuple(_restart(found) for found in (*olds, *others) if found.host == host)

    def _verify(
        self, h: Handover, new: DesiredReplica, needs: tuple[str, ...], undo: tuple[Operation, ...], id_: str | None
    ) -> None:
        """Start, readiness, a real request; then the restart policy that says: verified."""
        start = StartContainer(new.name, id_, "no")
        last = self._add(h, new.host, "start", start, needs, undo, why=_why(h))
        last = self._add(h, new.host, "await", await_ready(new), (last,), undo, why="until the backend serves")
        request = probe(new)
        if request is not None:
            last = self._add(h, new.host, "probe", request, (last,), undo, why="a real answer proves health")
        commit = UpdateContainer(new.name, id_, new.container.restart)
        self.ready[h.key] = self._add(h, new.host, "commit", commit, (last,), undo, why="it answered")

    def _revive(self, h: Handover) -> None:
        """The right container is there: start it, or see that it answers."""
        new, match = _present(h.new), h.match
        if match is None:
            return
        if h.change.reasons[0].code == "surplus":
            self._retire(h, [])
            return
        if h.change.reasons[0].code == "restart-policy":
            commit = UpdateContainer(new.name, match.container.id, new.container.restart)
            self.ready[h.key] = self._add(h, new.host, "update", commit, (), why=_why(h))
            return
        self._verify(h, new, self._prepare_paths(new), (), match.container.id)
        for found in h.live:
            self._stop(h, found, (self.ready[h.key],), why="its successor answers")
        self._retire(h, [*h.live])

    def _retire(self, h: Handover, olds: Sequence[Found]) -> None:
        """Removes what is beyond `keep_revisions`, newest kept, once the successor answers."""
        keep = _present(h.new).choice.service.rollout.keep_revisions
        ready = [self.ready[h.key]] if h.key in self.ready else []
        for found in surplus([*olds, *h.stale], keep):
            needs = (*ready, *self.stopped.get(h.key, ()))
            self._add(h, found.host, "retire", _remove(found), needs, why="no longer needed for a rollback")

    # --- steps -----------------------------------------------------------------------

    def _prepare(self, new: DesiredReplica) -> tuple[str, ...]:
        """Image and directories, shared by all replicas of the host: there before anything is stopped."""
        image = new.container.image
        pull = f"{new.host}/pull/{image}"
        if is_there(new.placed.facts, image):
            return self._prepare_paths(new)
        if pull not in self.steps:
            operation = PullImage(image, registry_of(image))
            self.steps[pull] = Step(pull, new.host, operation, why=f"replica `{new.key}` runs it")
        return (pull, *self._prepare_paths(new))

    def _prepare_paths(self, new: DesiredReplica) -> tuple[str, ...]:
        made = []
        for mount in new.container.mounts:
            if mount.create:
                step = f"{new.host}/directory/{mount.source}"
                if step not in self.steps:
                    self.steps[step] = Step(step, new.host, MakeDirectory(mount.source), why="a cache of its own")
                made.append(step)
        return tuple(made)

    def _stop(
        self, h: Handover, found: Found, needs: tuple[str, ...], undo: tuple[Operation, ...] = (), why: str = ""
    ) -> str:
        operation = StopContainer(found.container.name, found.container.id, _found_grace(found))
        reason = why or "its successor needs what it holds"
        step = self._add(h, found.host, "stop", operation, needs, undo, why=reason)
        self.stopped.setdefault(h.key, []).append(step)
        return step

    def _add(
        self,
        h: Handover,
        host: str,
        verb: str,
        operation: Operation,
        needs: tuple[str, ...],
        undo: tuple[Operation, ...] = (),
        why: str = "",
    ) -> str:
        step = f"{host}/{h.key}/{verb}"
        if step in self.steps:
            name = getattr(operation, "name", "")
            step = f"{step}/{name}"
        self.steps[step] = Step(step, host, operation, needs, undo, why, h.key)
        return step

    # --- order -------------------------------------------------------------------------

    def _window(self, h: Handover, before: list[ReplicaKey]) -> tuple[str, ...]:
        """At most `max_unavailable` replicas of a service are handed over at a time (one, where it is 0)."""
        if h.change.action not in (Action.REPLACE, Action.MOVE) or _recreates(h):
            return ()
        size = max(1, _present(h.new).choice.service.rollout.max_unavailable)
        if len(before) < size:
            return ()
        earlier = before[-size]
        if earlier in self.together.get(h.key, ()):
            return ()
        return (self.ready[earlier],)

    def _add_claim_needs(self, waits: Waits) -> None:
        """A replica waits until others have given back what it claims, and won't want it back: their successor
        answers. Where they wait for each other only the start waits, for the stop."""
        for key, others in waits.items():
            new = self.by_key[key].new
            start, create = (f"{new.host}/{key}/{verb}" if new else "" for verb in ("start", "create"))
            for other in sorted(others) if new is not None else ():
                if other in self.together.get(key, ()):
                    self._need(start, self.stopped.get(other, ()))
                else:
                    settled = (self.ready[other],) if other in self.ready else ()
                    self._need(create if create in self.steps else start, (*self.stopped.get(other, ()), *settled))

    def _hold_retirements(self) -> None:
        """Of replicas that are swapped together nothing is removed before all of them answer."""
        for step in list(self.steps.values()):
            if step.key in self.together and "/retire" in step.id:
                self._need(step.id, [self.ready[key] for key in self.together[step.key] if key in self.ready])

    def _need(self, id_: str, needs: Sequence[str]) -> None:
        step = self.steps[id_]
        self.steps[id_] = replace(step, needs=tuple(dict.fromkeys((*step.needs, *needs))))


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Topologically, otherwise as laid out. Raises ValueError for a cycle, which is a bug."""
    by_id = {step.id: step for step in steps}
    waiting = {step.id: len(step.needs) for step in by_id.values()}
    dependents: dict[str, list[str]] = {}
    for step in by_id.values():
        for need in step.needs:
            dependents.setdefault(need, []).append(step.id)
    ready = deque(step.id for step in by_id.values() if not step.needs)
    result: list[Step] = []
    while ready:
        done = ready.popleft()
        result.append(by_id[done])
        for dependent in dependents.get(done, ()):
            waiting[dependent] -= 1
            if waiting[dependent] == 0:
                ready.append(dependent)
    if len(result) < len(by_id):
        raise ValueError(f"steps wait for each other: {', '.join(sorted(set(by_id) - {s.id for s in result}))}")
    return tuple(result)


def is_there(facts: HostFacts, image: str) -> bool:
    """The host has this very reference; a tag that moved since is not looked up."""
    wanted = str(parse_image(image))
    wanted = wanted if "@" in wanted or parse_image(image).tag else f"{wanted}:latest"
    return any(_is_reference(name, wanted) for found in facts.images for name in (*found.tags, *found.digests))


def _is_reference(name: str, wanted: str) -> bool:
    try:
        return str(parse_image(name)) == wanted
    except ValueError:  # `<none>:<none>`
        return False


def _is_default(h: Handover) -> bool:
    return h.change.cause is Cause.DEFAULT


def _recreates(h: Handover) -> bool:
    """`strategy: recreate` stops all replicas of the service before it starts their successors."""
    replaced = h.change.action in (Action.REPLACE, Action.MOVE)
    return replaced and h.new is not None and h.new.choice.service.rollout.strategy == "recreate"


def _keep_undo(h: Handover, undo: tuple[Operation, ...]) -> tuple[Operation, ...]:
    return undo if _present(h.new).choice.service.rollout.on_failure == "rollback" else ()


def _present(replica: DesiredReplica | None) -> DesiredReplica:
    assert replica is not None, "a handover that creates has a new replica"
    return replica


def _why(h: Handover) -> str:
    return "; ".join(reason.message for reason in h.change.reasons)


def _remove_new(new: DesiredReplica) -> RemoveContainer:
    return RemoveContainer(new.name, None, _grace(new))


def _remove(found: Found) -> RemoveContainer:
    return RemoveContainer(found.container.name, found.container.id, _found_grace(found))


def _restart(found: Found) -> StartContainer:
    """Brings a predecessor back as it was, under the name it has by then."""
    name = found.container.name.removesuffix(RETIRING)
    return StartContainer(name, found.container.id, found.container.restart_policy)


def _grace(replica: DesiredReplica) -> float:
    return replica.container.stop_grace or replica.choice.backend.stop_grace


def _found_grace(found: Found) -> float:
    spec = found.recorded.spec
    return (spec.stop_grace if spec else None) or 30.0
