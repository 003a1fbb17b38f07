"""Runs a plan's steps on a `World`, one at a time in any order that `engine.execute` could take."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from deployer.values.operations import AwaitReady, EnsureSetup, Operation, Probe
from deployer.values.plan import Step
from deployer.values.transfers import CheckCopy, FetchWeights, FillCache, MakeDirectory, PullImage, ServeWeights
from tests.support.world import StepFails, World

HARMLESS = (PullImage, FetchWeights, ServeWeights, CheckCopy, FillCache, AwaitReady, Probe, MakeDirectory)
# all else is a change: one at a time on a host
BESIDE = (PullImage, FetchWeights, ServeWeights, CheckCopy, AwaitReady, EnsureSetup, Probe)


@dataclass
class Walk:
    """`choose(n)` says which of n jobs is next. `watch` is called after each. A step that failed is undone, and so is
    one that cannot run any more although something was changed for it."""

    world: World
    steps: tuple[Step, ...]
    choose: Callable[[int], int] = lambda count: 0
    watch: Callable[[], None] = lambda: None
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    undoing: dict[str, list[Operation]] = field(default_factory=dict)
    undos: dict[str, deque[list[Operation]]] = field(default_factory=dict)
    committed: list[Step] = field(default_factory=list)  # of those that are bound
    broken: set[str] = field(default_factory=set)
    reverting: deque[tuple[str, Operation]] = field(default_factory=deque)
    jobs: int = 0

    def run(self, stop_after: int | None = None) -> Walk:
        """Stops dead after that many jobs: a crash, nothing is undone."""
        self.world.apply += 1
        self.world.is_undone = True
        while stop_after is None or self.jobs < stop_after:
            jobs = self._jobs()
            if not jobs:
                break
            jobs[self.choose(len(jobs))]()
            self.jobs += 1
            self.watch()
        return self

    def _jobs(self) -> list[Callable[[], None]]:
        undoing = sorted(
            host for host in {*self.undoing, *self.undos} if self.undoing.get(host) or self.undos.get(host)
        )
        found: list[Callable[[], None]] = [lambda host=host: self._undo_one(host) for host in undoing]  # type: ignore[misc]
        if not found and (back := self._next_back()):
            return [back]
        settled = self.done | self.failed | self.skipped
        for step in self.steps:
            may = isinstance(step.operation, BESIDE) or step.host not in undoing
            if step.id not in settled and self.done.issuperset(step.needs) and may:
                found.append(lambda step=step: self._one(step))  # type: ignore[misc]
        return found

    def _one(self, step: Step) -> None:
        try:
            self.world.perform(step.host, step.operation)
        except StepFails:
            self.failed.add(step.id)
            self._skip_dependents(step)
            self._break([step.bound])
            self._undo(step)
            return
        self.done.add(step.id)
        if step.bound:
            self.committed.append(step)
        changes = not isinstance(step.operation, HARMLESS)
        if changes or self.changed.intersection(step.needs):
            self.changed.add(step.id)
            for other in self.steps:
                if other.id in self.skipped and step.id in other.needs:
                    self._undo(other)

    def _skip_dependents(self, failed: Step) -> None:
        gone = {failed.id}
        for step in self.steps:  # in the order of needs
            if gone.intersection(step.needs) and step.id not in self.skipped:
                gone.add(step.id)
                self.skipped.add(step.id)
                if self.changed.intersection(step.needs):
                    self._undo(step)
        self._break(step.bound for step in self.steps if step.id in gone)

    def _break(self, names: Iterable[str]) -> None:
        """What is bound together begins no more once one of it is not reached."""
        for name in {*names} - self.broken - {""}:
            self.broken.add(name)
            for step in self.steps:
                settled = step.id in self.done | self.failed | self.skipped
                if not settled and step.key is not None and step.key.service == name:
                    self.skipped.add(step.id)
                    if self.changed.intersection(step.needs):
                        self._undo(step)

    def _next_back(self) -> Callable[[], None] | None:
        """What was done of it goes back, one after the other, each up to its first failure; nothing does once something
        could not be undone."""
        if not self.reverting:
            back = [step for step in self.committed if step.bound in self.broken]
            if not back:
                return None
            self.committed.remove(back[-1])
            self.reverting.extend(back[-1].reverts)
        return self._revert_one if self.reverting else None

    def _revert_one(self) -> None:
        try:
            self.world.undo(*self.reverting.popleft())
        except StepFails:
            self.reverting.clear()
            self.committed.clear()

    def _undo(self, step: Step) -> None:
        parts: dict[str, list[Operation]] = {step.host: list(step.on_failure)}
        for host, operation in step.elsewhere:
            parts.setdefault(host, []).append(operation)
        for host, operations in parts.items():
            if operations:
                self.undos.setdefault(host, deque()).appendleft(operations)

    def _undo_one(self, host: str) -> None:
        if not self.undoing.get(host):
            self.undoing[host] = self.undos[host].popleft()
        operation = self.undoing[host].pop(0)
        try:
            self.world.undo(host, operation)
        except StepFails:
            self.committed.clear()
