"""What all operations of one apply share, and how each reaches its host. Performs nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal
from deployer.docker.failures import container_failure
from deployer.engine.guard import Guard, digest_of
from deployer.engine.peers import Peers
from deployer.engine.redaction import Redactor
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.errors import Diagnostic, OperationError
from deployer.spec.language import Hubs, Registry
from deployer.transport.base import Transport
from deployer.values.facts import ObservedContainer
from deployer.values.gpu_facts import Gpu
from deployer.values.names import STATE_DIR

if TYPE_CHECKING:
    import docker

    from deployer.engine.registries import Registries

MAX_WORDS = 1500  # characters of Docker's own words that are looked at


class Transports(Protocol):
    """The connected hosts by name: `transport.Fleet`, or a dict."""

    def __getitem__(self, name: str, /) -> Transport: ...


def no_fence(host: str) -> None:
    """Nobody else is expected to change the host."""


@dataclass(frozen=True, slots=True)
class ApplyContext:
    """`apply`: this apply's own id. `fence` is asked before a host is changed, and raises when its lock was lost.
    `is_locked`: the hosts themselves hold each change of a container against the lock, see `guard`."""

    project: str
    id: str | None
    apply: str
    secrets: SecretStore
    registries: Mapping[str, Registry] = field(default_factory=dict)
    fence: Callable[[str], None] = no_fence
    is_locked: bool = False
    hubs: Hubs = Hubs.usual()
    folder: Path = Path()  # of the spec, from which its paths go
    images: Registries | None = None  # what the controller itself may ask for images
    gpus: Mapping[str, Sequence[Gpu]] = field(default_factory=dict)  # of each host, as it was observed
    clock: Callable[[], float] = time.monotonic
    completing: set[tuple[str, str]] = field(default_factory=set)  # found out: (host, container) without chat template
    built_in: Mapping[str, str] = field(default_factory=dict)  # the spec's own backends -> what each stands on
    state_dir: str = STATE_DIR
    peers: Peers = field(default_factory=Peers)
    started: dict[tuple[str, str], float] = field(default_factory=dict)  # (host, container) started by this apply: when
    readings: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)  # (host, manifest): `Outcome.seen`
    proven: dict[tuple[str, str], str] = field(default_factory=dict)  # (host, container id): replica, as noted there
    image_labels: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)  # (host, image id), once asked
    serving: set[tuple[str, str]] = field(default_factory=set)  # (host, container) that this apply saw ready

    @property
    def redactor(self) -> Redactor:
        return self.secrets.redactor

    def seconds_since_start(self, host: str, container: str) -> float | None:
        """None where this apply did not start it."""
        began = self.started.get((host, container))
        return None if began is None else self.clock() - began

    def backend_of(self, container: ObservedContainer) -> str:
        """The built-in backend of a container; empty where its labels do not say."""
        decided = container.recorded.decisions.get("backend") if container.recorded is not None else None
        return self.built_in.get(str(decided), str(decided)) if decided is not None else ""


@dataclass(frozen=True, slots=True)
class Site:
    """One operation's place: the apply it belongs to, its host, and its watch. `running`: the containers that a change
    was decided by; it is made only while these run, and no others."""

    context: ApplyContext
    transport: Transport
    watch: Watch
    running: frozenset[str] | None = None

    @property
    def host(self) -> str:
        return self.transport.name

    def changing(self) -> docker.APIClient:
        """The Docker engine, for changes: made while the lock is ours, where this apply has one."""
        context = self.context
        if not context.is_locked:
            return self.transport.docker()
        running = "" if self.running is None else digest_of(self.running)
        return Guard(self.transport, f"{context.state_dir}/{context.project}", context.apply, running).client()

    def words(self, raw: str | bytes) -> str:
        """What a host said, fit for evidence."""
        return self.context.redactor.line(raw, MAX_WORDS)

    def refused(self, refusal: Refusal, verb: str, name: str, image: str = "") -> OperationError:
        return OperationError(container_failure(self.words(refusal.text), verb, name, image))


def failed(
    code: str, message: str, hint: str | None = None, evidence: tuple[str, ...] = (), host: str | None = None
) -> OperationError:
    return OperationError(Diagnostic(code, message, evidence=evidence, hint=hint, host=host))
