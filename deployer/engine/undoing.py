"""What follows failures: which operations, one after the other, and whose turn it is to go back. Performs nothing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TypeGuard

from deployer.dataclass import dataclass
from deployer.engine.workers import PATIENCE
from deployer.values.events import Outcome, StepDone, StepFailed, StepSkipped
from deployer.values.operations import AwaitReady, Operation, Probe, StartContainer
from deployer.values.plan import Step

HostOperation = tuple[str, Operation]


@dataclass(slots=True)
class Undoing:
    """The operations that are left of one chain, and of the patience with its host. `reverts`: of a step that was done,
    up to its first failure; the others are each tried whatever became of the ones before. `alone`: its waits are
    changes of their host, which follow each other."""

    step: Step
    left: deque[HostOperation]
    pauses: Iterator[float] = field(default_factory=lambda: iter(PATIENCE))
    reverts: bool = False
    has_failed: bool = False
    alone: bool = field(init=False)

    def __post_init__(self) -> None:
        self.alone = any(isinstance(o, StartContainer) and o.alone for _, o in self.left)

    def settle(self, operation: Operation, *, failed: bool) -> None:
        """What did not start, or does not get ready, is not asked for more."""
        if failed:
            self.has_failed = True
            name = getattr(operation, "name", None)
            self.left = deque(left for left in self.left if not (_asks(left[1]) and left[1].name == name))

    @property
    def is_over(self) -> bool:
        return not self.left or (self.reverts and self.has_failed)


def _asks(operation: Operation) -> TypeGuard[AwaitReady | Probe]:
    return isinstance(operation, AwaitReady | Probe)


def undoings_of(step: Step) -> tuple[Undoing, ...]:
    """One for each host: they do not wait for each other."""
    by_host: dict[str, deque[HostOperation]] = {step.host: deque((step.host, o) for o in step.on_failure)}
    for host, operation in step.elsewhere:
        by_host.setdefault(host, deque()).append((host, operation))
    return tuple(Undoing(step, operations) for operations in by_host.values() if operations)


@dataclass(slots=True)
class Whole:
    """Steps that are done together or not at all, by the name that binds them. A name is `broken` once one of its
    steps is never reached for a failure; then what was done goes back, the last one first, when all that was under way
    has come to an end."""

    steps: Mapping[str, Sequence[Step]]
    broken: set[str] = field(default_factory=set)
    done: dict[str, list[Step]] = field(default_factory=dict)
    busy: Counter[str] = field(default_factory=Counter)
    stuck: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Whole:
        found: dict[str, list[Step]] = {}
        for step in steps:
            if step.bound:
                found.setdefault(step.bound, []).append(step)
        return cls(found)

    def names_of(self, step: Step) -> str:
        """The name that binds the replica that a step is of; empty where none does."""
        service = step.key.service if step.key is not None else ""
        return service if service in self.steps else ""

    def settle(self, step: Step, outcome: Outcome, interrupted: str) -> bool:
        """True where this breaks what was bound."""
        if not step.bound:
            return False
        if isinstance(outcome, StepDone):
            self.done.setdefault(step.bound, []).append(step)
            return False
        is_failure = isinstance(outcome, StepFailed)
        is_failure = is_failure or (isinstance(outcome, StepSkipped) and outcome.because != interrupted)
        breaks = is_failure and step.bound not in self.broken
        self.broken |= {step.bound} if is_failure else set()
        return breaks

    def next_back(self) -> Iterable[Undoing]:
        """Those that may begin now."""
        for name in sorted(self.broken - self.stuck):
            if not self.busy[name] and self.done.get(name):
                step = self.done[name].pop()
                if step.reverts:
                    self.busy[name] += 1
                    yield Undoing(step, deque(step.reverts), reverts=True)

    def begin(self, step: Step) -> None:
        self.busy[self.names_of(step)] += 1

    def end(self, step: Step, *, failed: bool = False) -> None:
        """`failed`: something could not be undone, so nothing that serves is taken down for the sake of the whole."""
        name = self.names_of(step)
        self.busy[name] -= 1
        if failed:
            self.stuck.add(name)
