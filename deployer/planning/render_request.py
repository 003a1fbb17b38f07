"""What rendering one placed replica starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from deployer.backends.base import Backend
from deployer.spec.language import BackendPin, Host, Service
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey


@dataclass(frozen=True, slots=True)
class Placed:
    """What placement decided: GPU UUIDs, and the host's port (None where nothing is published)."""

    gpus: tuple[str, ...] = ()
    port: int | None = None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Weights on the host. `path` is a file (the first part of a split GGUF) or a directory; `parts` are all files
    of a GGUF, () of a directory."""

    path: str
    kind: Literal["file", "directory"]
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """`draft`: the weights of `options.speculative.model`. `pin`: the spec's `backends` entry that was chosen."""

    project: Project
    service_name: str
    key: ReplicaKey
    host_name: str
    facts: HostFacts
    placed: Placed
    backend: Backend
    image: str
    category: str
    model: ModelFacts
    draft: ModelFacts | None = None
    pin: BackendPin | None = None

    @property
    def service(self) -> Service:
        return self.project.spec.services[self.service_name]

    @property
    def host(self) -> Host:
        return self.project.spec.hosts[self.host_name]

    @property
    def settings(self) -> BackendPin | None:
        """`pin`, or what the spec says of the backend under the name the service uses."""
        pins: Mapping[str, BackendPin] = self.project.spec.backends
        named = (self.service.backend or "", self.backend.name, *self.backend.aliases)
        return self.pin or next((pins[name] for name in named if name in pins), None)
