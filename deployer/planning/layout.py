"""Steps of a rollout while they are being laid out: single steps and short runs of them. Knows no order of replicas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import TypeVar

from deployer.dataclass import dataclass
from deployer.planning.claimorder import Waits
from deployer.planning.desired import DesiredReplica
from deployer.planning.diff import REVENANT
from deployer.planning.fetching import Layers, directory_steps, image_steps, weight_steps
from deployer.planning.filling import fill_steps
from deployer.planning.handover import Handover
from deployer.planning.readiness import await_ready, proof
from deployer.planning.replicas import Found, surplus
from deployer.planning.steplist import StepList
from deployer.planning.takeover import beside
from deployer.planning.undo import HostOperation, Swap, split
from deployer.spec.project import Project
from deployer.values.names import ReplicaKey
from deployer.values.operations import (
    Operation,
    RemoveContainer,
    StartContainer,
    StopContainer,
    TakeOver,
    UpdateContainer,
)
from deployer.values.plan import Step
from deployer.values.setup import SetupTask

T = TypeVar("T")
HOLDS, ANSWERS = "its successor needs what it holds", "its successor answers"
Undo = tuple[HostOperation, ...]


@dataclass(slots=True)
class Layout:
    """By replica: `stops`, its stops and removals; `answered`, the last step before its commit; `ready`, the commit;
    `together`, the replicas that can only go down at the same time as it. `bound`: services that are handed over as a
    whole or not at all."""

    project: Project
    handovers: tuple[Handover, ...]
    layers: Layers = field(default_factory=dict)
    waits: Waits = field(default_factory=dict)
    steps: StepList = field(default_factory=StepList)
    stops: dict[ReplicaKey, list[str]] = field(default_factory=dict)
    answered: dict[ReplicaKey, str] = field(default_factory=dict)
    ready: dict[ReplicaKey, str] = field(default_factory=dict)
    retired: dict[ReplicaKey, list[str]] = field(default_factory=dict)
    stop_first: set[ReplicaKey] = field(default_factory=set)
    by_key: dict[ReplicaKey, Handover] = field(default_factory=dict)
    together: dict[ReplicaKey, tuple[ReplicaKey, ...]] = field(default_factory=dict)
    swaps: dict[ReplicaKey, Swap] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)  # ids of containers that made room for a name
    bound: frozenset[str] = frozenset()

    def add(
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

    def prepared(self, new: DesiredReplica) -> tuple[str, ...]:
        """What must be on the host before anything of it is stopped; a former container has it all."""
        if new.returns is not None:
            return ()
        images = image_steps(self.project, self.steps, new, self.layers)
        weights = weight_steps(self.project, self.steps, new)
        directories = directory_steps(self.steps, new)
        return (*images, *weights, *directories, *fill_steps(self.project, self.steps, new, (*images, *directories)))

    def verify(self, h: Handover, new: DesiredReplica, needs: tuple[str, ...], undo: Undo, id_: str | None) -> None:
        """Start, readiness, a real request; then the restart policy that says: verified."""
        start = StartContainer(new.name, id_, "no", beside=beside(h), stuck=_stuck(h.match))
        last = self.add(h, new.host, "start", start, needs, undo, why=why(h))
        last = self.add(h, new.host, "await", await_ready(new), (last,), undo, why="until the backend serves")
        last = self.prove(h, new, new.setup, last, undo)
        self.answered[h.key] = last
        commit = UpdateContainer(new.name, id_, new.container.restart)
        self.ready[h.key] = self.add(h, new.host, "commit", commit, (last,), undo, why="it answered")

    def prove(self, h: Handover, new: DesiredReplica, tasks: Sequence[SetupTask], last: str, undo: Undo = ()) -> str:
        """One after the other."""
        for verb, operation, reason in proof(new, tasks):
            last = self.add(h, new.host, verb, operation, (last,) if last else (), undo, why=reason)
        return last

    def stop_all(
        self, h: Handover, olds: Iterable[Found], needs: tuple[str, ...], undo: Undo = (), why: str = ""
    ) -> tuple[str, ...]:
        """Its predecessors, and the hand-made containers that it takes over from."""
        stops = [self.stop(h, found, needs, undo, why) for found in olds]
        for made in h.taken:
            operation = TakeOver(made.container.name, made.container.id)
            step = self.add(h, made.host, "take-over", operation, needs, undo, why or HOLDS)
            self.stops.setdefault(h.key, []).append(step)
            stops.append(step)
        return tuple(stops)

    def stop(self, h: Handover, found: Found, needs: tuple[str, ...], undo: Undo = (), why: str = "") -> str:
        operation = StopContainer(found.container.name, found.container.id, found_grace(found))
        step = self.add(h, found.host, "stop", operation, needs, undo, why=why or HOLDS)
        self.stops.setdefault(h.key, []).append(step)
        return step

    def clear(self, h: Handover, host: str, name: str, needs: tuple[str, ...]) -> tuple[str, ...]:
        """Removes the stopped container of this replica that has a name which is needed now."""
        found = next((f for f in h.stale if f.host == host and f.container.name == name), None)
        if found is None:
            return needs
        self.cleared.add(found.container.id)
        return (self.add(h, host, "clear", remove(found), needs, why="its name is needed"),)

    def retire(self, h: Handover, olds: Sequence[Found], needs: tuple[str, ...]) -> None:
        """Removes what is beyond `keep_revisions`, newest kept, once the successor answers; and what is kept must not
        come back by itself."""
        after, gone = (*needs, *self.stops.get(h.key, ())), surplus(olds, h.keep, h.images)
        for found in (f for f in olds if f.would_come_back and f not in gone and f.container.id not in self.cleared):
            stay = StopContainer(found.container.name, found.container.id, found_grace(found))
            self.add(h, found.host, "disarm", stay, after, why=REVENANT.message)
        for found in gone:
            if found.container.id not in self.cleared:
                step = self.add(h, found.host, "retire", remove(found), after, why="no longer needed for a rollback")
                self.retired.setdefault(h.key, []).append(step)


def present(value: T | None) -> T:
    assert value is not None, "a handover that creates has a new replica, one that revives a match"
    return value


def _stuck(match: Found | None) -> str | None:
    return match.container.started_at if match is not None and match.container.status == "unresponsive" else None


def why(h: Handover) -> str:
    return "; ".join(reason.message for reason in h.change.reasons)


def remove(found: Found) -> RemoveContainer:
    return RemoveContainer(found.container.name, found.container.id, found_grace(found))


def found_grace(found: Found) -> float:
    spec = found.recorded.spec
    return (spec.stop_grace if spec else None) or 30.0
