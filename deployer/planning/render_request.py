"""What rendering one placed replica starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from deployer.backends.base import Backend
from deployer.dataclass import dataclass
from deployer.spec.language import BackendPin, Host, Service
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey
from deployer.values.weights import Manifest


@dataclass(frozen=True, slots=True)
class Placed:
    """What placement decided: GPU UUIDs, and the host's port (None where nothing is published). `cache`: bytes of a
    GPU that it shares which its cache may have; None where it has GPUs alone, or nobody knows."""

    gpus: tuple[str, ...] = ()
    port: int | None = None
    cache: int | None = None


@dataclass(frozen=True, slots=True)
class Cached:
    """Weights in a host's cache. `root`: the folder that is mounted, since a snapshot's files are links to what lies
    beside it. `manifest`: the id; `files` are its files, None where the host has had them whole since an earlier apply.
    `inputs`: digest of what the spec chose them by. `in_place`: the folder of a copy in the host's `model_dirs`, where
    deployer writes nothing; `unread`: files there that are to be read before anything is started on them."""

    root: str
    manifest: str
    commit: str
    inputs: str
    files: Manifest | None = field(default=None, compare=False)  # `manifest` says as much
    in_place: str = ""
    unread: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Weights on the host. `path` is a file (the first part of a split GGUF), a directory, or a name that the backend
    knows; `parts` are all files of a GGUF, () of others."""

    path: str
    kind: Literal["file", "directory", "name"]
    parts: tuple[str, ...] = ()
    cached: Cached | None = None


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """`backend_name`: as the spec knows the backend, where that is an entry of its `backends`. `draft`: the weights of
    `options.speculative.model`. `others`: the service's models after the first, and their categories."""

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
    backend_name: str = ""
    draft: ModelFacts | None = None
    overrides: tuple[int, ...] = ()  # of the service, those that hold on this host
    others: tuple[tuple[ModelFacts, str], ...] = ()
    profile: str | None = None  # of the image's, the one that was chosen; the spec's comes before it

    @property
    def service(self) -> Service:
        """With what the spec says of its backend in it."""
        named = self.backend_name or self.backend.name
        return self.project.with_backend(self.service_name, named, self.overrides)

    @property
    def host(self) -> Host:
        return self.project.spec.hosts[self.host_name]

    @property
    def template(self) -> str | None:
        """The template that the spec gives the backend, along `extends`; None: the backend's own."""
        named = self.backend_name or self.project.spec.services[self.service_name].backend or self.backend.name
        return template_named(self.project.spec.backends, named, self.backend)


def template_named(pins: Mapping[str, BackendPin], named: str, backend: Backend) -> str | None:
    """The template that a spec's `backends` give one of them, by the name that a service has for it."""
    for _ in range(len(pins) + 1):
        pin = pins.get(named) or _pin_of(pins, backend)
        if pin is None or pin.template is not None or pin.extends is None:
            return pin.template if pin else None
        named = pin.extends
    return None


def _pin_of(pins: Mapping[str, BackendPin], backend: Backend) -> BackendPin | None:
    """The entry under any name of a built-in backend."""
    return next((pins[name] for name in (backend.name, *backend.aliases) if name in pins), None)
