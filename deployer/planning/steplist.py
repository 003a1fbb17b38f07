"""Steps while they are being laid out: ids of their own, needs added later, and their order. Knows no rollout."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from itertools import chain, count

from deployer.dataclass import dataclass, replace
from deployer.values.operations import Operation
from deployer.values.plan import Step


def numbered(name: str) -> Iterator[str]:
    return (f"{name}/{number}" for number in count(2))


@dataclass(slots=True)
class StepList:
    steps: dict[str, Step] = field(default_factory=dict)

    def add(self, step: Step) -> str:
        """Its id; with the container's name behind it where the same was done to another one, then with a number."""
        names = chain((step.id, named := f"{step.id}/{getattr(step.operation, 'name', '')}"), numbered(named))
        id_ = next(name for name in names if name not in self.steps)
        self.steps[id_] = step if id_ == step.id else replace(step, id=id_)
        return id_

    def shared(self, id_: str, host: str, operation: Operation, why: str) -> str:
        """A step that several replicas need, laid out once."""
        if id_ not in self.steps:
            self.steps[id_] = Step(id_, host, operation, why=why)
        return id_

    def need(self, id_: str, needs: Iterable[str]) -> None:
        step = self.steps[id_]
        self.steps[id_] = replace(step, needs=tuple(dict.fromkeys((*step.needs, *needs))))

    def bind(self, id_: str, bound: str, reverts: Iterable[tuple[str, Operation]]) -> None:
        self.steps[id_] = replace(self.steps[id_], bound=bound, reverts=tuple(reverts))

    def in_order(self) -> tuple[Step, ...]:
        return in_order(tuple(self.steps.values()))


def in_order(steps: Sequence[Step]) -> tuple[Step, ...]:
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
