"""A small world of hosts for properties of plans: holds containers and claims, knows nothing of how plans are made."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from deployer.values.codec import from_data
from deployer.values.container import ContainerSpec
from deployer.values.facts import (
    DockerFacts,
    Gpu,
    GpuFacts,
    HostFacts,
    Listener,
    ObservedContainer,
    ObservedState,
    PathFact,
    Recorded,
)
from deployer.values.names import ReplicaKey
from deployer.values.plan import (
    AwaitReady,
    CreateContainer,
    MakeDirectory,
    Operation,
    Probe,
    PullImage,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    Step,
    StopContainer,
    UpdateContainer,
)

HOLDING = ("running", "restarting", "paused")


class LawBroken(AssertionError):
    """The plan did something it must never do."""


class StepFails(Exception):
    """A step failed as steps do: the plan has to cope."""


@dataclass
class Box:
    """One container."""

    id: str
    name: str
    spec: ContainerSpec
    labels: dict[str, str]
    status: str = "created"
    restart: str = "no"
    started: int = 0

    @property
    def key(self) -> ReplicaKey:
        return ReplicaKey(self.labels["deployer.service"], int(self.labels["deployer.replica"]))

    @property
    def holds(self) -> bool:
        return self.status in HOLDING

    def claims(self) -> set[tuple[str, str]]:
        return {("gpu", g) for g in self.spec.gpus} | {("port", str(p.host)) for p in self.spec.ports}

    def observed(self) -> ObservedContainer:
        recorded = Recorded(
            project=self.labels["deployer.project"],
            id=self.labels["deployer.id"],
            key=self.key,
            member=0,
            role=self.labels["deployer.role"],
            revision=self.labels["deployer.revision"],
            spec=from_data(ContainerSpec, json.loads(self.labels["deployer.spec"])),
            decisions=json.loads(self.labels["deployer.decisions"]),
            secrets=json.loads(self.labels["deployer.secrets"]),
        )
        return ObservedContainer(
            id=self.id,
            name=self.name,
            image=self.spec.image,
            image_id="sha256:0",
            status=self.status,  # type: ignore[arg-type]
            recorded=recorded,
            exit_code=None if self.holds else 0,
            started_at=f"2026-01-01T00:{self.started // 60:02}:{self.started % 60:02}Z" if self.started else "",
            restart_policy=self.restart,
            ports=tuple((p.bind, p.host, p.protocol) for p in self.spec.ports),
            gpus=self.spec.gpus,
        )


@dataclass
class World:
    """`gpus`: how many a host has. `foreign`: ports and GPU indexes others hold. `bad`: revisions that never answer."""

    gpus: dict[str, int]
    foreign_ports: dict[str, set[int]] = field(default_factory=dict)
    foreign_gpus: dict[str, set[int]] = field(default_factory=dict)
    bad: Callable[[Box], bool] = lambda box: False
    boxes: dict[str, dict[str, Box]] = field(default_factory=dict)
    clock: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        for host in self.gpus:
            self.boxes.setdefault(host, {})

    # --- observation ------------------------------------------------------------

    def observe(self, paths: Iterable[str]) -> ObservedState:
        return ObservedState({host: self._facts(host, paths) for host in self.gpus})

    def _facts(self, host: str, paths: Iterable[str]) -> HostFacts:
        others = tuple(
            ObservedContainer(f"f{i}", f"other-{i}", "x", "sha256:1", "running", gpus=(str(i),))
            for i in sorted(self.foreign_gpus.get(host, ()))
        )
        listeners = [
            Listener("0.0.0.0", port, "tcp", "process nginx (pid 7)") for port in self.foreign_ports.get(host, ())
        ]
        for box in self.boxes[host].values():
            if box.holds:
                listeners += [Listener(p.bind, p.host, "tcp", f"container {box.name}") for p in box.spec.ports]
        return HostFacts(
            name=host, hostname=host, os="Debian", kernel="6", arch="x86_64", uid=0, gid=0, user="root", cpus=2,
            memory_total=1, memory_available=1, time="2026-01-01T00:00:00Z", docker=DockerFacts("27", "1.47"),
            gpu=GpuFacts(gpus=self._cards(host)),
            listeners=tuple(listeners),
            paths={path: PathFact(path, "file", size=1) for path in paths},
            containers=tuple(b.observed() for b in self.boxes[host].values()) + others,
        )  # fmt: skip

    def _cards(self, host: str) -> tuple[Gpu, ...]:
        return tuple(Gpu(i, f"GPU-{host}-{i}", "NVIDIA H100", 80 << 30) for i in range(self.gpus[host]))

    # --- operations ----------------------------------------------------------------

    def perform(self, host: str, operation: Operation) -> None:  # noqa: C901
        boxes = self.boxes[host]
        match operation:
            case PullImage() | MakeDirectory():
                pass
            case CreateContainer(name=name, spec=spec, labels=labels):
                old = boxes.get(name)
                if old is not None and old.holds:
                    raise StepFails(f"{name} runs")
                boxes[name] = Box(f"id{next(iter(self.clock))}", name, spec, dict(labels))
            case StartContainer(restart=restart):
                self._start(host, self._find(host, operation.name, operation.id), restart)
            case StopContainer():
                box = self._known(host, operation.name, operation.id)
                if box is not None:
                    box.restart = "no"
                    box.status = "exited" if box.status != "created" else "created"
            case RemoveContainer():
                box = self._known(host, operation.name, operation.id)
                if box is not None:
                    del boxes[box.name]
            case UpdateContainer(restart=restart):
                self._find(host, operation.name, operation.id).restart = restart
            case RenameContainer(to=to):
                self._rename(host, operation.name, operation.id, to)
            case AwaitReady(name=name) | Probe(name=name):
                box = self._find(host, name, None)
                if box.status != "running" or self.bad(box):
                    raise StepFails(f"{name} does not answer")

    def _known(self, host: str, name: str, id_: str | None) -> Box | None:
        by_id = [b for b in self.boxes[host].values() if b.id == id_]
        return by_id[0] if by_id else (self.boxes[host].get(name) if id_ is None else None)

    def _find(self, host: str, name: str, id_: str | None) -> Box:
        box = self._known(host, name, id_)
        if box is None:
            raise StepFails(f"no container {name}")
        return box

    def _rename(self, host: str, name: str, id_: str | None, to: str) -> None:
        box = self._find(host, name, id_)
        if box.name == to:
            return
        if to in self.boxes[host]:
            raise StepFails(f"name {to} is taken")
        del self.boxes[host][box.name]
        box.name = to
        self.boxes[host][to] = box

    def _start(self, host: str, box: Box, restart: str) -> None:
        for other in self.boxes[host].values():
            if other is not box and other.holds and other.claims() & box.claims():
                raise LawBroken(f"{box.name} and {other.name} claim {other.claims() & box.claims()} of {host}")
        for kind, name in box.claims():
            taken = {f"GPU-{host}-{i}" for i in self.foreign_gpus.get(host, ())}
            if (kind == "gpu" and name in taken) or (kind == "port" and int(name) in self.foreign_ports.get(host, ())):
                raise LawBroken(f"{box.name} takes {kind} {name} from somebody else")
        box.status, box.restart, box.started = "running", restart, next(iter(self.clock))

    def ready(self, service: str) -> int:
        """Verified replicas of a service that answer."""
        keys = {
            b.key
            for boxes in self.boxes.values()
            for b in boxes.values()
            if b.status == "running" and b.restart == b.spec.restart and b.key.service == service and not self.bad(b)
        }
        return len(keys)


@dataclass
class Walk:
    """Runs steps one at a time in any order their needs allow, with the executor's rules for failures."""

    world: World
    steps: tuple[Step, ...]
    choose: Callable[[int], int]
    watch: Callable[[], None] = lambda: None
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    def run(self, stop_after: int | None = None) -> None:
        """Stops dead after that many steps: a crash, nothing is undone."""
        count = 0
        while True:
            ready = [s for s in self.steps if s.id not in self.done | self.failed and self.done.issuperset(s.needs)]
            if not ready or (stop_after is not None and count >= stop_after):
                return
            self._one(ready[self.choose(len(ready))])
            count += 1

    def _one(self, step: Step) -> None:
        try:
            self.world.perform(step.host, step.operation)
            self.done.add(step.id)
        except StepFails:
            self.failed.add(step.id)
            self._undo(step)
            self._undo_dependents(step)
        self.watch()

    def _undo(self, step: Step) -> None:
        for operation in step.on_failure:
            try:
                self.world.perform(step.host, operation)
            except StepFails:
                continue

    def _undo_dependents(self, failed: Step) -> None:
        """A step that is skipped after something of its replica was done is undone too."""
        skipped = {failed.id}
        for step in self.steps:
            if skipped & set(step.needs) and step.id not in skipped:
                skipped.add(step.id)
                begun = any(s.key == step.key and s.id in self.done for s in self.steps if s.key is not None)
                if step.key != failed.key and begun:
                    self._undo(step)
