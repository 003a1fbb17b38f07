"""What follows the failure of a step: predecessors come back, successors go. Lays out no steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deployer.dataclass import dataclass
from deployer.planning.desired import DesiredReplica
from deployer.planning.diff import Handover
from deployer.planning.handmade import HandMade
from deployer.planning.replicas import Found
from deployer.values.names import RETIRING
from deployer.values.plan import GiveBack, Operation, RemoveContainer, RenameContainer, StartContainer, StopContainer

HostOperation = tuple[str, Operation]


@dataclass(frozen=True, slots=True)
class Swap:
    """A successor and its predecessors, under the names they have while it starts. `renamed`: which of them made room
    for a successor of the same name. `stops_first`: they are stopped before it starts."""

    handover: Handover
    new: DesiredReplica
    olds: tuple[Found, ...]
    renamed: Found | None
    stops_first: bool

    @property
    def removal(self) -> HostOperation:
        """At once: it has not answered anybody yet, and what comes back may need its port and GPUs."""
        return self.new.host, RemoveContainer(self.new.name, None, 0.0)

    @property
    def own(self) -> tuple[HostOperation, ...]:
        """Before anything was stopped: the successor goes, its predecessor has its name back."""
        return (self.removal, *self.renames_back)

    @property
    def renames_back(self) -> tuple[HostOperation, ...]:
        if self.renamed is None:
            return ()
        old = self.renamed.container
        return ((self.renamed.host, RenameContainer(old.name + RETIRING, old.id, old.name)),)

    @property
    def restarts(self) -> tuple[HostOperation, ...]:
        """Nothing comes back that never answered where there is something that did."""
        olds = self.olds if self.stops_first else ()
        if self.handover.fallback is not None:
            olds = (self.handover.fallback,)
        return tuple((old.host, _restart(old)) for old in olds)

    @property
    def given_back(self) -> tuple[HostOperation, ...]:
        return given_back(self.handover, self.handover.taken if self.stops_first else ())


def given_back(h: Handover, taken: Sequence[HandMade]) -> tuple[HostOperation, ...]:
    """Hand-made containers that are stopped in this plan, and those that an earlier apply stopped."""
    theirs = {made.container.id: made for made in (*h.owed, *taken)}
    return tuple((m.host, GiveBack(m.container.name, i, m.restart, m.runs, m.retries)) for i, m in theirs.items())


def undo_of_revival(h: Handover, match: Found, stopped: Sequence[Found]) -> tuple[HostOperation, ...]:
    """The container that was to be the right one is kept, stopped; what served or ran before it comes back."""
    olds = (h.fallback,) if h.fallback is not None else stopped
    back = (*((old.host, _restart(old)) for old in olds), *given_back(h, ()))
    if not back or h.new is None or h.new.choice.service.rollout.on_failure == "stop":
        return ()
    return ((match.host, StopContainer(h.new.name, match.container.id, grace_of(h.new))), *back)


def undo_of(swaps: Sequence[Swap]) -> tuple[HostOperation, ...]:
    """Replicas that can only be swapped together are undone together: first every successor, then every predecessor."""
    if all(swap.new.choice.service.rollout.on_failure == "stop" for swap in swaps):
        return ()
    found = [swap.removal for swap in swaps]
    found += [operation for swap in swaps for operation in swap.renames_back]
    found += [operation for swap in swaps for operation in (*swap.restarts, *swap.given_back)]
    return tuple(found)


def split(host: str, operations: Iterable[HostOperation]) -> tuple[tuple[Operation, ...], tuple[HostOperation, ...]]:
    """Those of the step's own host, and those of others."""
    listed = tuple(operations)
    return tuple(o for h, o in listed if h == host), tuple((h, o) for h, o in listed if h != host)


def grace_of(replica: DesiredReplica) -> float:
    return replica.container.stop_grace or replica.choice.backend.stop_grace


def _restart(found: Found) -> StartContainer:
    """Brings a predecessor back as it was, under the name it has by then."""
    name = found.container.name.removesuffix(RETIRING)
    return StartContainer(name, found.container.id, found.container.restart_policy, returns=True)
