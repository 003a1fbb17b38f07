"""Changes to steps: what waits for what, what follows a failure, and what stays ready meanwhile.

The order follows claims: stop-first where a successor claims what a running container holds, start-first elsewhere.
A container gets the restart policy `no` until it has answered; the last step of its start sets the wanted one. So a
plan after a crash sees what was verified, and what was not never comes back by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from typing import TypeVar

from deployer.dataclass import dataclass
from deployer.planning.availability import Downs
from deployer.planning.claimorder import Waits, batches, needs_own_stop, recreates, waits_for
from deployer.planning.desired import DesiredReplica, labels_of
from deployer.planning.diff import Handover
from deployer.planning.fetching import Layers, directory_steps, image_steps, weight_steps
from deployer.planning.filling import fill_steps
from deployer.planning.readiness import await_ready, proof
from deployer.planning.replicas import Found, surplus
from deployer.planning.startorder import Shown, in_turn, roomy_claims
from deployer.planning.steplist import StepList
from deployer.planning.takeover import beside
from deployer.planning.undo import HostOperation, Swap, split, undo_of, undo_of_revival
from deployer.spec.project import Project
from deployer.values.names import RETIRING, ReplicaKey
from deployer.values.plan import (
    Action,
    Cause,
    CreateContainer,
    Operation,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    Step,
    StopContainer,
    TakeOver,
    UpdateContainer,
)
from deployer.values.setup import SetupTask

T = TypeVar("T")
CREATES = (Action.CREATE, Action.REPLACE, Action.MOVE)
HOLDS, ANSWERS = "its successor needs what it holds", "its successor answers"
Undo = tuple[HostOperation, ...]


@dataclass(slots=True)
class Rollout:
    """Steps while they are being laid out. By replica: `stops`, its stops and removals; `answered`, the last step
    before its commit; `ready`, the commit; `together`, the replicas that can only go down at the same time as it."""

    project: Project
    handovers: tuple[Handover, ...]
    layers: Layers = field(default_factory=dict)
    steps: StepList = field(default_factory=StepList)
    stops: dict[ReplicaKey, list[str]] = field(default_factory=dict)
    answered: dict[ReplicaKey, str] = field(default_factory=dict)
    ready: dict[ReplicaKey, str] = field(default_factory=dict)
    stop_first: set[ReplicaKey] = field(default_factory=set)
    by_key: dict[ReplicaKey, Handover] = field(default_factory=dict)
    together: dict[ReplicaKey, tuple[ReplicaKey, ...]] = field(default_factory=dict)
    swaps: dict[ReplicaKey, Swap] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)  # ids of containers that made room for a name

    def lay_out(self) -> tuple[Step, ...]:
        pending = tuple(h for h in self.handovers if h.change.action is not Action.KEEP and not _is_default(h))
        waits = waits_for(pending, roomy_claims(self.handovers))
        groups = batches(pending, waits)
        self.by_key = {h.key: h for h in pending}
        self.together = {key: group for group in groups for key in group if len(group) > 1}
        self.stop_first = {h.key for h in pending if h.key in self.together or needs_own_stop(h) or recreates(h)}
        self.swaps = {h.key: self._swap(h) for h in pending if h.change.action in CREATES}
        before: dict[str, list[ReplicaKey]] = {}
        order = [self.by_key[key] for group in groups for key in group]
        for handover in order:
            key = handover.key
            earlier = before.setdefault(key.service, [])
            self._lay_out_one(handover, earlier)
            if handover.change.action in (Action.REPLACE, Action.MOVE):
                earlier.append(key)
        self._add_claim_needs(waits)
        self._bind_together()
        self._hold_recreated()
        in_turn(self.steps, order, Shown(self.answered, self.ready, self.stops, self.together, self.stop_first))
        return self.steps.in_order()

    def _swap(self, h: Handover) -> Swap:
        new, match = _present(h.new), h.match
        if match is None or not match.is_live:
            return Swap(h, new, h.live, None, h.key in self.stop_first)
        away = replace(match, container=replace(match.container, name=new.name + RETIRING))
        return Swap(h, new, (*h.live, away), match, h.key in self.stop_first)

    @property
    def downs(self) -> Downs:
        """Once it is laid out."""
        return Downs(self.stop_first, self.together)

    # --- one replica ---------------------------------------------------------------

    def _lay_out_one(self, h: Handover, earlier: Sequence[ReplicaKey]) -> None:
        match h.change.action:
            case Action.CREATE | Action.REPLACE | Action.MOVE:
                self._successor(self.swaps[h.key], self._window(h, earlier))
            case Action.START | Action.UPDATE:
                self._revive(h)
            case Action.STOP:
                for found in h.live:
                    self._stop(h, found, (), why="the spec says `state: stopped`")
                self._retire(h, [*h.live, *h.stale], ())
            case Action.REMOVE:
                for found in (*h.live, *h.stale):
                    step = self._add(h, found.host, "remove", _remove(found), (), why=h.change.reasons[0].message)
                    self.stops.setdefault(h.key, []).append(step)

    def _successor(self, swap: Swap, window: tuple[str, ...]) -> None:
        h, new = swap.handover, swap.new
        prepared = (*image_steps(self.project, self.steps, new, self.layers), *self._prepared(new), *window)
        if swap.renamed is not None:
            prepared = (self._rename_away(swap, prepared),)
        create = CreateContainer(new.name, new.container, labels_of(self.project, new), new.image_ids)
        first = self._add(h, new.host, "create", create, prepared, swap.own, why=_why(h))
        # what an earlier apply left under this very name is gone once its successor is created
        self.cleared |= {f.container.id for f in h.stale if (f.host, f.container.name) == (new.host, new.name)}
        undo = undo_of([self.swaps[key] for key in self.together.get(h.key, (h.key,)) if key in self.swaps])
        needs: tuple[str, ...] = (first,)
        if swap.stops_first:
            needs = self._stop_all(h, swap.olds, (first,), undo) or needs
        self._verify(h, new, needs, undo, None)
        if not swap.stops_first:
            self._stop_all(h, swap.olds, (self.ready[h.key],), why=ANSWERS)
        self._retire(h, [*swap.olds, *h.stale], (self.ready[h.key],))

    def _prepared(self, new: DesiredReplica) -> tuple[str, ...]:
        directories = directory_steps(self.steps, new)
        images = image_steps(self.project, self.steps, new, self.layers)
        filled = fill_steps(self.project, self.steps, new, (*images, *directories))
        return (*weight_steps(self.project, self.steps, new), *directories, *filled)

    def _rename_away(self, swap: Swap, needs: tuple[str, ...]) -> str:
        """The predecessor makes room for a successor of the same name; so does what an earlier one left there."""
        h, old = swap.handover, _present(swap.renamed).container
        needs = self._clear(h, swap.new.host, old.name + RETIRING, needs)
        away = RenameContainer(old.name, old.id, old.name + RETIRING)
        why = "its successor has the same name"
        return self._add(h, swap.new.host, "rename", away, needs, swap.renames_back, why)

    def _verify(self, h: Handover, new: DesiredReplica, needs: tuple[str, ...], undo: Undo, id_: str | None) -> None:
        """Start, readiness, a real request; then the restart policy that says: verified."""
        start = StartContainer(new.name, id_, "no", beside=beside(h), stuck=_stuck(h.match))
        last = self._add(h, new.host, "start", start, needs, undo, why=_why(h))
        last = self._add(h, new.host, "await", await_ready(new), (last,), undo, why="until the backend serves")
        last = self._prove(h, new, new.setup, last, undo)
        self.answered[h.key] = last
        commit = UpdateContainer(new.name, id_, new.container.restart)
        self.ready[h.key] = self._add(h, new.host, "commit", commit, (last,), undo, why="it answered")

    def _prove(self, h: Handover, new: DesiredReplica, tasks: Sequence[SetupTask], last: str, undo: Undo = ()) -> str:
        """One after the other."""
        for verb, operation, why in proof(new, tasks):
            last = self._add(h, new.host, verb, operation, (last,) if last else (), undo, why=why)
        return last

    def _revive(self, h: Handover) -> None:
        """The right container is there: start it, see that it answers, give it back what was changed by hand."""
        codes = {reason.code for reason in h.change.reasons}
        if codes <= {"surplus", "replaces", "setup-missing"}:
            proven = self._prove(h, _present(h.new), h.missing, "") if h.missing else ""
            done = (proven,) if proven else ()
            self._retire(h, h.stale, (*done, *self._stop_all(h, (), done, why=ANSWERS)))
            return
        new, match = _present(h.new), _present(h.match)
        needs = self._name_back(h, new, match)
        stops_first = False
        if "restart-policy" in codes:
            commit = UpdateContainer(new.name, match.container.id, new.container.restart)
            self.ready[h.key] = self._add(h, new.host, "update", commit, needs, why=_why(h))
        else:
            stops_first = h.key in self.stop_first and bool(h.live)
            undo = undo_of_revival(h, match, h.live if stops_first else ())
            needs = (*self._prepared(new), *needs)
            if stops_first:
                needs = (*needs, *self._stop_all(h, h.live, needs, undo))
            self._verify(h, new, needs, undo, match.container.id)
        if not stops_first:
            self._stop_all(h, h.live, (self.ready[h.key],), why=ANSWERS)
        self._retire(h, [*h.live, *h.stale], (self.ready[h.key],))

    def _name_back(self, h: Handover, new: DesiredReplica, match: Found) -> tuple[str, ...]:
        """An apply that ended early left it under the name for predecessors."""
        if match.container.name == new.name:
            return ()
        needs = self._clear(h, new.host, new.name, ())
        rename = RenameContainer(match.container.name, match.container.id, new.name)
        return (self._add(h, new.host, "rename", rename, needs, why="it has its name back"),)

    def _clear(self, h: Handover, host: str, name: str, needs: tuple[str, ...]) -> tuple[str, ...]:
        """Removes the stopped container of this replica that has a name which is needed now."""
        found = next((f for f in h.stale if f.host == host and f.container.name == name), None)
        if found is None:
            return needs
        self.cleared.add(found.container.id)
        return (self._add(h, host, "clear", _remove(found), needs, why="its name is needed"),)

    def _retire(self, h: Handover, olds: Sequence[Found], needs: tuple[str, ...]) -> None:
        """Removes what is beyond `keep_revisions`, newest kept, once the successor answers."""
        for found in surplus(olds, h.keep):
            if found.container.id not in self.cleared:
                after = (*needs, *self.stops.get(h.key, ()))
                self._add(h, found.host, "retire", _remove(found), after, why="no longer needed for a rollback")

    # --- steps -----------------------------------------------------------------------

    def _stop_all(
        self, h: Handover, olds: Iterable[Found], needs: tuple[str, ...], undo: Undo = (), why: str = ""
    ) -> tuple[str, ...]:
        """Its predecessors, and the hand-made containers that it takes over from."""
        stops = [self._stop(h, found, needs, undo, why) for found in olds]
        for made in h.taken:
            operation = TakeOver(made.container.name, made.container.id)
            step = self._add(h, made.host, "take-over", operation, needs, undo, why or HOLDS)
            self.stops.setdefault(h.key, []).append(step)
            stops.append(step)
        return tuple(stops)

    def _stop(self, h: Handover, found: Found, needs: tuple[str, ...], undo: Undo = (), why: str = "") -> str:
        operation = StopContainer(found.container.name, found.container.id, _found_grace(found))
        step = self._add(h, found.host, "stop", operation, needs, undo, why=why or HOLDS)
        self.stops.setdefault(h.key, []).append(step)
        return step

    def _add(
        self,
        h: Handover,
        host: str,
        verb: str,
        operation: Operation,
        needs: tuple[str, ...],
        undo: Undo = (),
        why: str = "",
    ) -> str:
        here, elsewhere = split(host, undo)
        id_ = f"{host}/{h.key}/{verb}"
        return self.steps.add(Step(id_, host, operation, needs, here, why, h.key, elsewhere=elsewhere))

    # --- order -------------------------------------------------------------------------

    def _window(self, h: Handover, earlier: Sequence[ReplicaKey]) -> tuple[str, ...]:
        """At most `max_unavailable` replicas of a service are handed over at a time (one, where it is 0), but for those
        that can only go down together: they wait for all before them, and whoever comes later for all of them."""
        if h.change.action not in (Action.REPLACE, Action.MOVE) or recreates(h):
            return ()
        size = max(1, _present(h.new).choice.service.rollout.max_unavailable)
        mine = self.together.get(h.key, ())
        if mine:
            return self._settled([key for key in earlier if key not in mine][-size:])
        return self._settled(earlier[-size : len(earlier) - size + 1]) if len(earlier) >= size else ()

    def _settled(self, keys: Iterable[ReplicaKey]) -> tuple[str, ...]:
        """The commits of these replicas, and of those that can still take them down again."""
        members = [key for first in keys for key in self.together.get(first, (first,))]
        return tuple(dict.fromkeys(self.ready[key] for key in members if key in self.ready))

    def _add_claim_needs(self, waits: Waits) -> None:
        """A replica waits until others have given back what it claims, and won't want it back: their successor
        answers. Where they wait for each other only the start waits, for the stop."""
        for key, others in waits.items():
            new = self.by_key[key].new
            start, create = (f"{new.host}/{key}/{verb}" if new else "" for verb in ("start", "create"))
            for other in sorted(others) if new is not None else ():
                if other in self.together.get(key, ()):
                    self.steps.need(start, self.stops.get(other, ()))
                else:
                    first = create if create in self.steps.steps else start
                    self.steps.need(first, (*self.stops.get(other, ()), *self._settled([other])))

    def _bind_together(self) -> None:
        """Replicas that are swapped together: none is committed before all answer, nothing removed before all are."""
        for step in list(self.steps.steps.values()):
            if step.key is None or step.key not in self.together:
                continue
            group = self.together[step.key]
            if step.id == self.ready.get(step.key):
                self.steps.need(step.id, [self.answered[key] for key in group if key in self.answered])
            elif "/retire" in step.id:
                self.steps.need(step.id, [self.ready[key] for key in group if key in self.ready])

    def _hold_recreated(self) -> None:
        """`strategy: recreate`: all replicas of the service stop before the first successor starts."""
        by_service: dict[str, list[ReplicaKey]] = {}
        for key, handover in self.by_key.items():
            if recreates(handover):
                by_service.setdefault(key.service, []).append(key)
        for keys in by_service.values():
            stops = [step for key in keys for step in self.stops.get(key, ())]
            for key in keys:
                self.steps.need(f"{_present(self.by_key[key].new).host}/{key}/start", stops)


def _is_default(h: Handover) -> bool:
    return h.change.cause is Cause.DEFAULT


def _present(value: T | None) -> T:
    assert value is not None, "a handover that creates has a new replica, one that revives a match"
    return value


def _stuck(match: Found | None) -> str | None:
    return match.container.started_at if match is not None and match.container.status == "unresponsive" else None


def _why(h: Handover) -> str:
    return "; ".join(reason.message for reason in h.change.reasons)


def _remove(found: Found) -> RemoveContainer:
    return RemoveContainer(found.container.name, found.container.id, _found_grace(found))


def _found_grace(found: Found) -> float:
    spec = found.recorded.spec
    return (spec.stop_grace if spec else None) or 30.0
