"""Changes to steps: what waits for what, what follows a failure, and what stays ready meanwhile.

The order follows claims: stop-first where a successor claims what a running container holds, start-first elsewhere.
A container gets the restart policy `no` until it has answered; the last step of its start sets the wanted one. So a
plan after a crash sees what was verified, and what was not never comes back by itself.
"""

from __future__ import annotations

from dataclasses import field

from deployer.dataclass import dataclass, replace
from deployer.planning.availability import Downs
from deployer.planning.claimorder import batches, needs_own_stop, recreates, waits_for
from deployer.planning.desired import DesiredReplica, labels_of
from deployer.planning.fetching import Layers
from deployer.planning.handover import Handover
from deployer.planning.layout import ANSWERS, Layout, present, remove, why
from deployer.planning.replicas import Found
from deployer.planning.startorder import Shown, in_turn, roomy_claims, starts_already
from deployer.planning.turns import CREATES, Turns, add_claim_needs, bind_together, hold_recreated
from deployer.planning.undo import Swap, undo_of, undo_of_revival
from deployer.planning.whole import bind_services, bound_services
from deployer.spec.project import Project
from deployer.values.names import RETIRING
from deployer.values.operations import CreateContainer, RenameContainer, UpdateContainer
from deployer.values.plan import Action, Cause, Step


@dataclass(slots=True)
class Rollout:
    """The steps of one plan."""

    project: Project
    handovers: tuple[Handover, ...]
    layers: Layers = field(default_factory=dict)
    on: Layout = field(init=False)

    def __post_init__(self) -> None:
        self.on = Layout(self.project, self.handovers, self.layers)

    def lay_out(self) -> tuple[Step, ...]:
        on = self.on
        pending = tuple(h for h in self.handovers if h.change.action is not Action.KEEP and not _is_default(h))
        on.waits = waits_for(pending, roomy_claims(self.handovers, self.project.spec.hosts))
        groups = batches(pending, on.waits)
        on.by_key = {h.key: h for h in pending}
        on.together = {key: group for group in groups for key in group if len(group) > 1}
        on.stop_first = {h.key for h in pending if h.key in on.together or needs_own_stop(h) or recreates(h)}
        on.swaps = {h.key: self._swap(h) for h in pending if h.change.action in CREATES}
        on.bound = bound_services(on)
        turns = Turns(on)
        laid_out = [on.by_key[key] for group in groups for key in group]
        order = sorted(laid_out, key=lambda h: not starts_already(h))
        for handover in order:
            self._lay_out_one(handover, turns)
        add_claim_needs(on)
        bind_together(on)
        hold_recreated(on)
        bind_services(on)
        in_turn(on.steps, order, Shown(on.answered, on.ready, on.stops, on.together, on.stop_first))
        return on.steps.in_order()

    def _swap(self, h: Handover) -> Swap:
        new, match = present(h.new), h.match
        stops_first = h.key in self.on.stop_first
        if match is None or not match.is_live:
            returning = match if new.returns is not None and not _is_rotated(h) else None
            return Swap(h, new, h.live, None, stops_first, returning)
        away = replace(match, container=replace(match.container, name=new.name + RETIRING))
        return Swap(h, new, (*h.live, away), match, stops_first)

    @property
    def downs(self) -> Downs:
        """Once it is laid out."""
        return Downs(self.on.stop_first, self.on.together)

    # --- one replica ---------------------------------------------------------------

    def _lay_out_one(self, h: Handover, turns: Turns) -> None:
        window = turns.window(h)
        match h.change.action:
            case Action.CREATE | Action.REPLACE | Action.MOVE:
                self._successor(self.on.swaps[h.key], window)
            case Action.START | Action.UPDATE:
                self._revive(h, window)
            case Action.STOP:
                for found in h.live:
                    self.on.stop(h, found, (), why=h.change.reasons[0].message)
                self.on.retire(h, [*h.live, *h.stale], ())
            case Action.REMOVE:
                for found in (*h.live, *h.stale):
                    step = self.on.add(h, found.host, "remove", remove(found), (), why=h.change.reasons[0].message)
                    self.on.stops.setdefault(h.key, []).append(step)
        turns.taken(h)

    def _successor(self, swap: Swap, window: tuple[str, ...]) -> None:
        on, h, new = self.on, swap.handover, swap.new
        needs = (*on.prepared(new), *window)
        if swap.renamed is not None:
            needs = (self._rename_away(swap, needs),)
        if swap.returning is None:
            needs = (self._create(swap, needs),)
        undo = undo_of(
            self.project.spec, [on.swaps[key] for key in on.together.get(h.key, (h.key,)) if key in on.swaps]
        )
        if swap.stops_first:
            needs = on.stop_all(h, swap.olds, needs, undo) or needs
        on.verify(h, new, needs, undo, swap.returning.container.id if swap.returning is not None else None)
        if not swap.stops_first:
            on.stop_all(h, swap.olds, (on.ready[h.key],), why=ANSWERS)
        on.retire(h, [*swap.olds, *h.stale], (on.ready[h.key],))

    def _create(self, swap: Swap, needs: tuple[str, ...]) -> str:
        h, new = swap.handover, swap.new
        create = CreateContainer(new.name, new.container, labels_of(self.project, new), new.image_ids)
        # what an earlier apply left under this very name is gone once its successor is created
        self.on.cleared |= {f.container.id for f in h.stale if (f.host, f.container.name) == (new.host, new.name)}
        return self.on.add(h, new.host, "create", create, needs, swap.own, why=why(h))

    def _rename_away(self, swap: Swap, needs: tuple[str, ...]) -> str:
        """The predecessor makes room for a successor of the same name; so does what an earlier one left there."""
        h, old = swap.handover, present(swap.renamed).container
        needs = self.on.clear(h, swap.new.host, old.name + RETIRING, needs)
        away = RenameContainer(old.name, old.id, old.name + RETIRING)
        return self.on.add(
            h, swap.new.host, "rename", away, needs, swap.renames_back, "its successor has the same name"
        )

    def _revive(self, h: Handover, window: tuple[str, ...]) -> None:
        """The right container is there: start it, see that it answers, give it back what was changed by hand."""
        on, codes = self.on, {reason.code for reason in h.change.reasons}
        if codes <= {"surplus", "predecessor-restarts", "replaces", "setup-missing"}:
            proven = on.prove(h, present(h.new), h.missing, "") if h.missing else ""
            done = (proven,) if proven else ()
            on.retire(h, h.stale, (*done, *on.stop_all(h, (), done, why=ANSWERS)))
            return
        new, match = present(h.new), present(h.match)
        needs = self._name_back(h, new, match)
        stops_first = False
        if "restart-policy" in codes:
            commit = UpdateContainer(new.name, match.container.id, new.container.restart)
            on.ready[h.key] = on.add(h, new.host, "update", commit, needs, why=why(h))
        else:
            stops_first = h.key in on.stop_first and bool(h.live)
            undo = undo_of_revival(self.project.spec, h, match, h.live if stops_first else ())
            needs = (*on.prepared(new), *window, *needs)
            if stops_first:
                needs = (*needs, *on.stop_all(h, h.live, needs, undo))
            on.verify(h, new, needs, undo, match.container.id)
        if not stops_first:
            on.stop_all(h, h.live, (on.ready[h.key],), why=ANSWERS)
        on.retire(h, [*h.live, *h.stale], (on.ready[h.key],))

    def _name_back(self, h: Handover, new: DesiredReplica, match: Found) -> tuple[str, ...]:
        """An apply that ended early left it under the name for predecessors."""
        if match.container.name == new.name:
            return ()
        needs = self.on.clear(h, new.host, new.name, ())
        rename = RenameContainer(match.container.name, match.container.id, new.name)
        return (self.on.add(h, new.host, "rename", rename, needs, why="it has its name back"),)


def _is_default(h: Handover) -> bool:
    return h.change.cause is Cause.DEFAULT


def _is_rotated(h: Handover) -> bool:
    """What it was given is out of date: it is made anew."""
    return any(reason.code == "secret-rotated" for reason in h.change.reasons)
