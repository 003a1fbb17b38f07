"""A small world of hosts for laws of plans: holds containers and claims, knows nothing of how plans are made."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from deployer.values.canonical import digest
from deployer.values.codec import from_data, to_data
from deployer.values.container import ContainerSpec
from deployer.values.facts import (
    DockerFacts,
    HostFacts,
    ImageFact,
    Listener,
    ObservedContainer,
    ObservedState,
    PathFact,
    Recorded,
)
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.names import ReplicaKey
from deployer.values.operations import (
    AwaitReady,
    CreateContainer,
    EnsureSetup,
    GiveBack,
    Operation,
    Probe,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    StopContainer,
    TakeOver,
    UpdateContainer,
)
from deployer.values.presynced import Copy, ReadFile
from deployer.values.records import Proven
from deployer.values.transfers import (
    CheckCopy,
    FetchWeights,
    FillCache,
    LoadImage,
    MakeDirectory,
    PullImage,
    ServeWeights,
)
from deployer.values.weights import Manifest

HOLDING = ("running", "restarting", "paused")
IDENTITY = ("lab", "1")  # project and id
MEMORY = 80 << 30  # of a GPU


class LawBroken(AssertionError):
    """The plan did something it must never do."""


class StepFails(Exception):
    """A step failed as steps do: the plan has to cope."""


class InjectedFailure(StepFails):
    """The world made it fail."""


def apply_id(number: int) -> str:
    return f"20260101T{number:06}Z00000000"


@dataclass
class Box:
    """One container of somebody's project. `apply`: which apply made it."""

    id: str
    name: str
    spec: ContainerSpec
    labels: dict[str, str]
    apply: int = 0
    status: str = "created"
    restart: str = "no"
    started: int = 0
    has_answered: bool = False
    is_starting: bool = False  # it has not answered since it was started
    is_noted: bool = False  # by its host, as one that answered
    setup: set[str] = field(default_factory=set)  # digests of the tasks that were done in it

    @property
    def key(self) -> ReplicaKey:
        return ReplicaKey(self.labels["deployer.service"], int(self.labels["deployer.replica"]))

    @property
    def identity(self) -> tuple[str, str]:
        return self.labels["deployer.project"], self.labels["deployer.id"]

    @property
    def secrets(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.labels["deployer.secrets"])
        return found

    @property
    def share(self) -> int | None:
        """Bytes of each of its GPUs that it takes at most, where it shares them."""
        share: int | None = json.loads(self.labels["deployer.decisions"]).get("gpu_share")
        return share

    @property
    def apply_id(self) -> str:
        return apply_id(self.apply)

    @property
    def is_verified(self) -> bool:
        """It answered once: only then it comes back by itself, if it is to."""
        return self.is_noted if self.spec.restart == "no" else self.restart != "no"

    @property
    def holds(self) -> bool:
        return self.status in HOLDING

    def claims(self) -> set[tuple[str, str]]:
        ports = {("port", str(p.host)) for p in self.spec.ports}
        if self.spec.network == "host":
            ports.add(("port", self.spec.command[self.spec.command.index("--port") + 1]))
        return {("gpu", g) for g in self.spec.gpus} | ports

    def observed(self, identity: tuple[str, str]) -> ObservedContainer:
        return ObservedContainer(
            id=self.id,
            name=self.name,
            image=self.spec.image,
            image_id="sha256:0",
            status=self.status,  # type: ignore[arg-type]
            recorded=self._recorded() if self.identity == identity else None,
            exit_code=None if self.holds else 0,
            started_at=f"2026-01-01T00:{self.started // 60:02}:{self.started % 60:02}Z" if self.started else "",
            restart_policy=self.restart,
            ports=tuple((p.bind, p.host, p.protocol) for p in self.spec.ports),
            gpus=self.spec.gpus,
            gpu_share=self.share,
            network=self.spec.network,
            labelled_project=self.identity[0],
            labelled_id=self.identity[1],
        )

    def _recorded(self) -> Recorded:
        return Recorded(
            project=self.identity[0],
            id=self.identity[1],
            key=self.key,
            member=0,
            role=self.labels["deployer.role"],
            revision=self.labels["deployer.revision"],
            spec=from_data(ContainerSpec, json.loads(self.labels["deployer.spec"])),
            decisions=json.loads(self.labels["deployer.decisions"]),
            secrets=self.secrets,
            apply=self.apply_id,
        )


@dataclass
class Stranger:
    """A hand-made container: `gpu` is an index."""

    name: str
    gpu: int | None = None
    port: int | None = None
    status: str = "running"
    restart: str = "always"

    @property
    def id(self) -> str:
        return f"hand-{self.name}"

    def claims(self, host: str) -> set[tuple[str, str]]:
        if self.status not in HOLDING:
            return set()
        gpus = set() if self.gpu is None else {("gpu", f"GPU-{host}-{self.gpu}")}
        return gpus | (set() if self.port is None else {("port", str(self.port))})

    def observed(self) -> ObservedContainer:
        return ObservedContainer(
            self.id, self.name, "vllm/vllm", "sha256:2", self.status,  # type: ignore[arg-type]
            restart_policy=self.restart,
            ports=(("0.0.0.0", self.port, "tcp"),) if self.port is not None else (),
            gpus=(str(self.gpu),) if self.gpu is not None else (),
        )  # fmt: skip


def never_bad(box: Box) -> bool:
    return False


def never_fails(host: str, operation: Operation) -> str | None:
    return None


def read_copy(copy: Copy, manifest: Manifest) -> Copy:
    """As the reading of a copy leaves it that is what it should be."""
    files = {file.path: file for file in manifest.files}
    read = {
        path: ReadFile(stamp, files[path].sha256 or "5" * 64, files[path].git or "")
        for path, stamp in copy.files.items()
        if path in files
    }
    return replace(copy, read={**copy.read, **read})


@dataclass
class World:
    """`gpus`: how many a host has. `foreign`: ports and GPU indexes others hold. `bad`: containers that never answer.
    `fails`: operations that fail `before` or `after` they took effect. `apply`: the number of the one that goes on."""

    gpus: dict[str, int]
    foreign_ports: dict[str, set[int]] = field(default_factory=dict)
    foreign_gpus: dict[str, set[int]] = field(default_factory=dict)
    bad: Callable[[Box], bool] = never_bad
    fails: Callable[[str, Operation], str | None] = never_fails
    strangers: dict[str, list[Stranger]] = field(default_factory=dict)
    boxes: dict[str, dict[str, Box]] = field(default_factory=dict)
    images: dict[str, set[str]] = field(default_factory=dict)
    weights: dict[str, dict[str, FetchWeights]] = field(default_factory=dict)  # by the ids of manifests
    copies: dict[str, tuple[Copy, ...]] = field(default_factory=dict)  # of models, in folders that are not deployer's
    proven: dict[str, list[tuple[str, Proven]]] = field(default_factory=dict)  # by host: container id, what is noted
    apply: int = 0
    is_undone: bool = True  # whatever had to be undone in this apply
    clock: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        for host in self.gpus:
            self.boxes.setdefault(host, {})
            self.images.setdefault(host, set())

    @property
    def all_boxes(self) -> list[Box]:
        """In the order of hosts and names."""
        return [box for _, boxes in sorted(self.boxes.items()) for _, box in sorted(boxes.items())]

    # --- observation ------------------------------------------------------------

    def observe(self, paths: Iterable[str] = (), identity: tuple[str, str] = IDENTITY) -> ObservedState:
        return ObservedState({host: self.facts(host, paths, identity) for host in self.gpus})

    def facts(self, host: str, paths: Iterable[str], identity: tuple[str, str] = IDENTITY) -> HostFacts:
        others = tuple(
            ObservedContainer(f"f{i}", f"other-{i}", "x", "sha256:1", "running", gpus=(str(i),))
            for i in sorted(self.foreign_gpus.get(host, ()))
        )
        listeners = [
            Listener("0.0.0.0", port, "tcp", "process nginx (pid 7)") for port in self.foreign_ports.get(host, ())
        ]
        for box in self.boxes[host].values():
            if box.holds:
                ports = [int(name) for kind, name in box.claims() if kind == "port"]
                listeners += [Listener("127.0.0.1", port, "tcp", f"container {box.name}") for port in ports]
        made = self.strangers.get(host, ())
        others += tuple(stranger.observed() for stranger in made)
        for stranger in made:
            ports = [int(name) for kind, name in stranger.claims(host) if kind == "port"]
            listeners += [Listener("0.0.0.0", port, "tcp", f"container {stranger.name}") for port in ports]
        return HostFacts(
            name=host, hostname=host, os="Debian", kernel="6", arch="x86_64", uid=0, gid=0, user="root", cpus=2,
            memory_total=1, memory_available=1, time="2026-01-01T00:00:00Z", docker=DockerFacts("27", "1.47"),
            gpu=GpuFacts(gpus=self._cards(host)),
            listeners=tuple(listeners),
            paths={path: PathFact(path, "file", size=1) for path in paths},
            containers=tuple(b.observed(identity) for b in self.boxes[host].values()) + others,
            images=tuple(ImageFact("sha256:0", tags=(name,)) for name in sorted(self.images[host])),
            folders=self._folders(host),
            copies=self.copies.get(host, ()),
            answered={box.id: 1.0 for box in self.boxes[host].values() if box.is_noted},
            proven=tuple(proven for _, proven in self.proven.get(host, ())),
        )  # fmt: skip

    def _folders(self, host: str) -> dict[str, dict[str, tuple[int, int]]]:
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for fetched in self.weights.get(host, {}).values():
            found.setdefault(f"{fetched.cache_dir}/manifests", {})[fetched.manifest.id] = (1, 2)
            blobs = found.setdefault(f"{fetched.cache_dir}/{fetched.manifest.folder}/blobs", {})
            blobs |= {file.blob: (file.size, 1) for file in fetched.manifest.files}
        return found

    def _cards(self, host: str) -> tuple[Gpu, ...]:
        return tuple(Gpu(i, f"GPU-{host}-{i}", "NVIDIA H100", MEMORY) for i in range(self.gpus[host]))

    # --- operations ----------------------------------------------------------------

    def undo(self, host: str, operation: Operation) -> None:
        """The same as `perform`, for what follows a failure. Once that went wrong, claims may be found taken."""
        try:
            self.perform(host, operation)
        except InjectedFailure:
            self.is_undone = False
            raise

    def perform(self, host: str, operation: Operation) -> None:
        """One operation, as the engine does it. StepFails where that would fail."""
        failure = self.fails(host, operation)
        if failure == "before":
            raise InjectedFailure(f"{operation.op} fails")
        self._perform(host, operation)
        if failure == "after":
            raise InjectedFailure(f"{operation.op} fails once it has its effect")

    def _perform(self, host: str, operation: Operation) -> None:  # noqa: C901
        match operation:
            case PullImage(image=image) | LoadImage(image=image):
                self.images[host].add(image)
            case MakeDirectory() | FillCache() | ServeWeights():
                pass
            case CheckCopy(folder=folder, manifest=manifest):
                there = self.copies.get(host, ())
                self.copies[host] = tuple(read_copy(c, manifest) if c.folder == folder else c for c in there)
            case FetchWeights(manifest=manifest):
                self.weights.setdefault(host, {})[manifest.id] = operation
            case CreateContainer():
                self._create(host, operation)
            case StartContainer(restart=restart):
                self._start(host, self._find(host, operation.name, operation.id), restart)
            case StopContainer():
                box = self._mine(host, operation.name, operation.id)
                if box is not None:
                    self._take_back(host, box)
                    box.restart = "no"
                    box.status = "exited" if box.status != "created" else "created"
            case RemoveContainer():
                box = self._mine(host, operation.name, operation.id)
                if box is not None:
                    self._take_back(host, box)
                    del self.boxes[host][box.name]
            case UpdateContainer(restart=restart):
                box = self._find(host, operation.name, operation.id)
                if not box.has_answered:
                    raise LawBroken(f"{box.name} has not answered and is said to have")
                self._set_restart(box, restart)
                box.is_noted = True
                inputs = json.loads(box.labels["deployer.decisions"])["inputs"]
                noted = Proven(box.identity[0], str(box.key), inputs, apply_id(self.apply))
                self.proven.setdefault(host, []).append((box.id, noted))
            case RenameContainer(to=to):
                self._rename(host, operation.name, operation.id, to)
            case TakeOver(id=id_):
                stranger = self._stranger(host, id_)
                stranger.restart = "no"
                stranger.status = "exited" if stranger.status in HOLDING else stranger.status
            case GiveBack(id=id_, restart=restart, ran=ran):
                stranger = self._stranger(host, id_)
                if ran:
                    self._check_free(host, stranger.name, stranger.claims(host))
                stranger.restart, stranger.status = restart, "running" if ran else stranger.status
            case EnsureSetup(name=name, task=task):
                box = self._find(host, name, None)
                if box.status != "running" or self.bad(box):
                    raise StepFails(f"{name} does not answer")
                box.setup.add(digest(to_data(task)))
            case AwaitReady(name=name) | Probe(name=name):
                box = self._find(host, name, None)
                if box.status != "running" or self.bad(box):
                    raise StepFails(f"{name} does not answer")
                box.has_answered, box.is_starting = True, False

    def _create(self, host: str, operation: CreateContainer) -> None:
        if operation.spec.image not in self.images[host]:
            raise StepFails(f"image {operation.spec.image} is not there")
        roots = {f"{fetched.cache_dir}/{fetched.manifest.folder}" for fetched in self.weights.get(host, {}).values()}
        roots |= {copy.root for copy in self.copies.get(host, ()) if copy.read and not copy.changed}
        for mount in operation.spec.mounts:
            if "/hub/models--" in mount.source and mount.source not in roots:
                raise StepFails(f"the weights under {mount.source} are not there")
        labels = dict(operation.labels)
        old = self.boxes[host].get(operation.name)
        if old is not None and old.holds:
            if old.labels["deployer.revision"] == labels["deployer.revision"]:
                return
            raise StepFails(f"{operation.name} runs")
        made = Box(f"id{next(self.clock)}", operation.name, operation.spec, labels, self.apply)
        self.boxes[host][operation.name] = made

    def _take_back(self, host: str, box: Box) -> None:
        now = apply_id(self.apply)
        self.proven[host] = [(id_, p) for id_, p in self.proven.get(host, ()) if (id_, p.apply) != (box.id, now)]

    def _stranger(self, host: str, id_: str) -> Stranger:
        for stranger in self.strangers.get(host, ()):
            if stranger.id == id_:
                return stranger
        raise StepFails(f"no container {id_}")

    def _known(self, host: str, name: str, id_: str | None) -> Box | None:
        by_id = [b for b in self.boxes[host].values() if b.id == id_]
        return by_id[0] if by_id else (self.boxes[host].get(name) if id_ is None else None)

    def _mine(self, host: str, name: str, id_: str | None) -> Box | None:
        """Without an id from the plan, only what this apply made may be stopped or removed."""
        box = self._known(host, name, id_)
        if box is not None and id_ is None and box.apply != self.apply:
            raise StepFails(f"{name} is from another apply")
        return box

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
        if box.status != "running":
            self._check_claims(host, box)
            box.started, box.is_starting = next(self.clock), True
        box.status = "running"
        self._set_restart(box, restart)

    def _set_restart(self, box: Box, restart: str) -> None:
        if restart != "no" and not box.has_answered:
            raise LawBroken(f"{box.name} has not answered and would come back by itself")
        box.restart = restart

    def _check_claims(self, host: str, box: Box) -> None:
        self._check_free(host, box.name, box.claims())
        if box.holds:  # paused, or between two crashes: whoever came meanwhile shares with it
            return
        for stranger in self.strangers.get(host, ()):
            if stranger.claims(host) & box.claims():
                raise LawBroken(f"{box.name} takes {stranger.claims(host) & box.claims()} from {stranger.name}")
        for kind, name in box.claims():
            taken = {f"GPU-{host}-{i}" for i in self.foreign_gpus.get(host, ())}
            if (kind == "gpu" and name in taken) or (kind == "port" and int(name) in self.foreign_ports.get(host, ())):
                raise LawBroken(f"{box.name} takes {kind} {name} from somebody else")

    def _check_free(self, host: str, name: str, claims: set[tuple[str, str]]) -> None:
        mine = self.boxes[host].get(name)
        others = [other for other in self.boxes[host].values() if other.name != name and other.holds]
        kind = LawBroken if self.is_undone else StepFails
        for other in others:
            both = other.claims() & claims
            if mine is not None and mine.share is not None and other.share is not None:
                if any(of == "gpu" for of, _ in both) and other.is_starting:
                    raise kind(f"{name} starts while {other.name} does, on a GPU of {host} that they share")
                both = {claim for claim in both if claim[0] != "gpu"}
            if both:
                raise kind(f"{name} and {other.name} claim {both} of {host}")
        for uuid in mine.spec.gpus if mine is not None and mine.share is not None else ():
            shares = [box.share or 0 for box in (mine, *others) if box is not None and uuid in box.spec.gpus]
            if sum(shares) > MEMORY:
                raise kind(f"{sum(shares)} bytes of {uuid} are given out")

    def ready(self, service: str, identity: tuple[str, str] = IDENTITY) -> int:
        """Verified replicas of a service that answer."""
        return len({
            box.key
            for box in self.all_boxes
            if box.identity == identity and box.key.service == service
            and box.status == "running" and box.is_verified and not self.bad(box)
        })  # fmt: skip
