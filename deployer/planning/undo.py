"""What follows the failure of a step: predecessors come back, successors go. Lays out no steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deployer.dataclass import dataclass
from deployer.planning.desired import DesiredReplica
from deployer.planning.handmade import HandMade
from deployer.planning.handover import Handover
from deployer.planning.readiness import answers_of_found
from deployer.planning.replicas import Found
from deployer.spec.language import DeploySpec
from deployer.values.names import RETIRING
from deployer.values.operations import (
    GiveBack,
    Operation,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    StopContainer,
)

HostOperation = tuple[str, Operation]


@dataclass(frozen=True, slots=True)
class Swap:
    """A successor and its predecessors, under the names they have while it starts. `renamed`: which of them made room
    for a successor of the same name. `stops_first`: they are stopped before it starts. `returning`: the former
    container that is the successor, and is kept whatever comes."""

    handover: Handover
    new: DesiredReplica
    olds: tuple[Found, ...]
    renamed: Found | None
    stops_first: bool
    returning: Found | None = None

    @property
    def removal(self) -> HostOperation:
        """At once: it has not answered anybody yet, and what comes back may need its port and GPUs."""
        if self.returning is not None:
            return self.new.host, StopContainer(self.new.name, self.returning.container.id, 0.0)
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
    def brought_back(self) -> tuple[Found, ...]:
        """Nothing comes back that never answered where there is something that did."""
        if self.handover.fallback is not None:
            return (self.handover.fallback,)
        return self.olds if self.stops_first else ()

    @property
    def was_served(self) -> bool:
        return any(old.is_live and old.is_verified for old in self.olds)

    @property
    def given_back(self) -> tuple[HostOperation, ...]:
        return given_back(self.handover, self.handover.taken if self.stops_first else ())


def given_back(h: Handover, taken: Sequence[HandMade]) -> tuple[HostOperation, ...]:
    """Hand-made containers that are stopped in this plan, and those that an earlier apply stopped."""
    theirs = {made.container.id: made for made in (*h.owed, *taken)}
    return tuple((m.host, GiveBack(m.container.name, i, m.restart, m.runs, m.retries)) for i, m in theirs.items())


def undo_of_revival(spec: DeploySpec, h: Handover, match: Found, stopped: Sequence[Found]) -> tuple[HostOperation, ...]:
    """The container that was to be the right one is kept, stopped; what served or ran before it comes back."""
    olds = (h.fallback,) if h.fallback is not None else stopped
    back = tuple(_back(spec, olds, given_back(h, ())))
    if not back or h.new is None or h.new.choice.service.rollout.on_failure == "stop":
        return ()
    stop = StopContainer(h.new.name, match.container.id, grace_of(h.new))
    return ((match.host, stop), *back)


def undo_of(spec: DeploySpec, swaps: Sequence[Swap]) -> tuple[HostOperation, ...]:
    """Replicas that can only be swapped together are undone together: first every successor, then every predecessor;
    in the end each predecessor that is back must answer."""
    if all(swap.new.choice.service.rollout.on_failure == "stop" for swap in swaps):
        return ()
    found = [swap.removal for swap in swaps]
    found += [operation for swap in swaps for operation in swap.renames_back]
    found += _back(spec, [old for swap in swaps for old in swap.brought_back], [o for s in swaps for o in s.given_back])
    return tuple(found)


def _back(spec: DeploySpec, olds: Sequence[Found], given: Sequence[HostOperation]) -> Iterator[HostOperation]:
    """All at once, but for those that share GPUs: one after the other, each once the one before it answers."""
    sharing = [old for old in olds if old.container.gpu_share is not None]
    others = [old for old in olds if old.container.gpu_share is None]
    yield from _restarts(others)
    yield from given
    for old in sharing:
        yield from (*_restarts([old]), *_answers(spec, [old]))
    yield from _answers(spec, others)


def reverts_of(spec: DeploySpec, swaps: Sequence[Swap]) -> tuple[HostOperation, ...]:
    """The way back of successors that answered: as they came, so that no more is down than then."""
    if any(swap.stops_first for swap in swaps):
        return undo_of(spec, swaps)
    found: list[HostOperation] = []
    for swap in swaps:
        olds = tuple(old for old in swap.olds if old.is_live and old.is_verified)
        found += [*_restarts(olds, as_named=True), *_answers(spec, olds, as_named=True)]
        found += [swap.removal, *swap.renames_back]
    return tuple(found)


def split(host: str, operations: Iterable[HostOperation]) -> tuple[tuple[Operation, ...], tuple[HostOperation, ...]]:
    """Those of the step's own host, and those of others."""
    listed = tuple(operations)
    return tuple(o for h, o in listed if h == host), tuple((h, o) for h, o in listed if h != host)


def grace_of(replica: DesiredReplica) -> float:
    return replica.container.stop_grace or replica.choice.backend.stop_grace


def _restarts(olds: Iterable[Found], *, as_named: bool = False) -> Iterator[HostOperation]:
    """Predecessors as they were, under the names they have by then."""
    for old in olds:
        container = old.container
        shares = container.gpu_share is not None
        yield (
            old.host,
            StartContainer(_name(old, as_named), container.id, container.restart_policy, returns=True, alone=shares),
        )


def _answers(spec: DeploySpec, olds: Iterable[Found], *, as_named: bool = False) -> Iterator[HostOperation]:
    """Of those that served: an apply has not undone anything before they serve again."""
    for old in olds:
        if old.is_verified or old.has_answered:
            for operation in answers_of_found(spec, old, _name(old, as_named)):
                yield old.host, operation


def _name(old: Found, as_named: bool) -> str:
    return old.container.name if as_named else old.container.name.removesuffix(RETIRING)
