"""One host to try operations on, whatever is behind its socket, and the few values the suite is about."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deployer.engine.context import ApplyContext
from deployer.engine.lock import Holder, HostLock
from deployer.engine.perform import Performer
from deployer.engine.registries import Registries
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.engine.wording import operation_text
from deployer.errors import DeployerError, Diagnostic
from deployer.spec.language import Registry, SecretSource
from deployer.transport import Transport
from deployer.values.canonical import canonical_json, revision_of
from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec, PortBinding
from deployer.values.events import Event
from deployer.values.names import ReplicaKey, container_name
from deployer.values.operations import AwaitReady, CreateContainer, Endpoint, EnsureSetup, Operation, Probe
from deployer.values.setup import Call, HttpCall, SetupTask

PROJECT, IDENTITY = "suite", "7f3a"
IMAGE, LABELLED = "stub:1", "labelled:1"
SECRETS = {"api": "s3cr3t-api-key", "login": "correct horse", "wrong": "battery staple"}


def labels_for(key: ReplicaKey, revision: str, spec: ContainerSpec | None = None) -> dict[str, str]:
    return {
        "deployer.project": PROJECT,
        "deployer.id": IDENTITY,
        "deployer.service": key.service,
        "deployer.replica": str(key.index),
        "deployer.member": "0",
        "deployer.role": "replica",
        "deployer.revision": revision,
        "deployer.spec": canonical_json(to_data(spec)) if spec else "",
        "deployer.decisions": "{}",
        "deployer.secrets": "{}",
        "deployer.version": "0",
    }


LABELLED_LABELS = {**labels_for(ReplicaKey("chat", 0), "0123456789ab"), "deployer.apply": "a0"}


@dataclass
class Bench:
    """`transport` is the host. Everything a test makes is on it until the next test."""

    transport: Transport
    open_registry: str
    closed_registry: str
    port: int
    directory: Path
    events: list[Event] = field(default_factory=list)
    apply: str = "a1"

    def __post_init__(self) -> None:
        sources = {name: SecretSource(env=name.upper()) for name in SECRETS}
        environ = {name.upper(): value for name, value in SECRETS.items()}
        self.secrets = SecretStore(sources, SourceReader(self.directory, environ), {})
        self.registries: dict[str, Registry] = {}
        self.images: Registries | None = None
        self._locked_by = ""

    @property
    def docker(self) -> Any:
        return self.transport.docker()

    # --- operations --------------------------------------------------------------------

    @property
    def context(self) -> ApplyContext:
        """Of an apply that holds the lock; without `apply` of a command that changes nothing."""
        state = str(self.directory / "state")
        if self.apply and self._locked_by != self.apply:
            lock = HostLock(self.transport, Holder(PROJECT, self.apply, "suite"), state)
            assert lock.take(lock.look()) is None
            self._locked_by = self.apply
        known, images = self.registries, self.images
        return ApplyContext(
            PROJECT,
            IDENTITY,
            self.apply,
            self.secrets,
            known,
            is_locked=bool(self.apply),
            images=images,
            state_dir=state,
        )

    def perform(self, operation: Operation, watch: Watch | None = None) -> str:
        watch = watch or Watch("step", "here", operation_text(operation), self.events.append)
        return Performer(self.context, {"here": self.transport})("here", operation, watch)

    def failure(self, operation: Operation) -> Diagnostic:
        """The diagnostic of an operation that fails."""
        try:
            detail = self.perform(operation)
        except DeployerError as error:
            return error.diagnostics[0]
        raise AssertionError(f"{operation} was done: {detail}")

    def creation(self, spec: ContainerSpec | None = None, index: int = 0) -> CreateContainer:
        wanted = spec or ContainerSpec(IMAGE)
        revision = revision_of(to_data(wanted))
        key = ReplicaKey("chat", index)
        return CreateContainer(container_name(PROJECT, key, revision), wanted, labels_for(key, revision, wanted))

    def decided(self, inputs: str) -> str:
        """A container that runs and was made of a spec of that digest."""
        made = self.creation(self.server())
        self.perform(replace(made, labels={**made.labels, "deployer.decisions": canonical_json({"inputs": inputs})}))
        self.docker.start(made.name)
        return made.name

    def server(self, **env: str) -> ContainerSpec:
        """The small model server, published at the bench's port."""
        return ContainerSpec(IMAGE, env=env, ports=(PortBinding(80, self.port),))

    def created(self, spec: ContainerSpec | None = None, index: int = 0) -> str:
        operation = self.creation(spec, index)
        self.perform(operation)
        return operation.name

    def running(self, **env: str) -> str:
        name = self.created(self.server(**env))
        self.docker.start(name)
        return name

    def waiting(self, name: str, timeout: float = 10.0, stall: float = 10.0) -> AwaitReady:
        return AwaitReady(name, Endpoint("127.0.0.1", self.port), "/health", timeout, stall)

    def probing(self, name: str, **changes: Any) -> Probe:
        paths = {
            "models": "/v1/models",
            "chat": "/cgi-bin/chat",
            "completions": "/cgi-bin/completions",
            "embeddings": "/cgi-bin/embeddings",
            "rerank": "/cgi-bin/rerank",
        }
        probe = Probe(name, Endpoint("127.0.0.1", self.port), "llm", ("tiny",), paths, timeout=10.0)
        return replace(probe, **changes)

    def setting_up(self, name: str, *do: Call, timeout: float = 10.0, port: int | None = None) -> EnsureSetup:
        """Makes sure that the server's /state holds `ready`."""
        task = SetupTask("the model `tiny`", HttpCall("/state", "GET"), do, ("ready",), timeout)
        return EnsureSetup(name, Endpoint("127.0.0.1", port or self.port), task)

    # --- what is on the host ---------------------------------------------------------------

    def foreign(self, name: str, image: str = IMAGE, labels: dict[str, str] | None = None, **config: Any) -> str:
        """A container that deployer did not make."""
        body = {"Image": image, "Labels": labels or {}, **config}
        created: dict[str, str] = self.docker.create_container_from_config(body, name=name)
        return created["Id"]

    def state(self, name: str) -> dict[str, Any]:
        inspected: dict[str, Any] = self.docker.inspect_container(name)
        return inspected

    def status(self, name: str) -> str:
        status: str = self.state(name)["State"]["Status"]
        return status

    def policy(self, name: str) -> str:
        policy: str = self.state(name)["HostConfig"]["RestartPolicy"]["Name"]
        return policy

    def names(self) -> set[str]:
        return {name.removeprefix("/") for c in self.docker.containers(all=True) for name in c["Names"]}

    def file(self, name: str, path: str) -> tuple[bytes, tarfile.TarInfo]:
        chunks, _ = self.docker.get_archive(name, path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            member = tar.getmembers()[0]
            file = tar.extractfile(member)
            assert file is not None
            return file.read(), member


def eventually(what: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
