"""Project: a parsed deploy.yaml with all that belongs to it. What `load` returns and everything else reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, Where
from deployer.spec.conform import data_of
from deployer.spec.language import DeploySpec, Service
from deployer.spec.layers import Layers
from deployer.spec.nodes import KeyPath
from deployer.spec.origins import EDITION, Origin
from deployer.spec.shape import SERVICE
from deployer.values.lock import Lock

__all__ = ["KeyPath", "Origin", "Project"]


@dataclass(frozen=True, slots=True)
class Project:
    """`files`: content of every file the spec names, by the path as written. `written`: for each service, all
    that people wrote about it (merged settings, its model, backend pin and files), to tell an edit from a new
    default. `origins`: of every leaf of the merged services and hosts, for `render --explain`."""

    spec: DeploySpec
    path: str
    positions: Mapping[KeyPath, Where]
    files: Mapping[str, bytes] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[KeyPath, Origin] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    lock: Lock = field(default=Lock())  # empty where there is no deploy.lock
    layers: Layers | None = field(default=None, repr=False, compare=False)
    _layered: dict[tuple[str, str, tuple[int, ...]], Service] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def where(self, *path: str | int) -> Where | None:
        """The position of a key, or of its nearest parent that was written."""
        for end in range(len(path), 0, -1):
            found = self.positions.get(path[:end])
            if found is not None:
                return found
        return None

    def origin(self, *path: str | int) -> Origin:
        """Where a value of a service or host comes from; the edition's defaults where nobody wrote it."""
        return self.origins.get(path, EDITION)

    def with_service(self, name: str, backend: str, service: Service) -> Project:
        """The same project, as if people had written that service, which is served by that backend."""
        spec = self.spec.model_copy(update={"services": {**self.spec.services, name: service}})
        written = {**self.written, name: {"instead": service.model_dump(mode="json")}}
        changed = replace(self, spec=spec, written=written)
        changed._layered[(name, backend, ())] = service
        return changed

    def with_backend(self, name: str, backend: str, overrides: tuple[int, ...] = ()) -> Service:
        """A service with the spec's settings of a backend that was chosen for it, in their place under its own, and
        with those of its `overrides` that hold.

        The same as `spec.services[name]` where the service names its backend itself and nothing is overridden.
        """
        key = (name, backend, overrides)
        if key in self._layered:
            return self._layered[key]
        service = self.spec.services[name]
        is_whole = service.backend is not None or self.layers is None or not self.layers.pins_of(backend)
        if self.layers is None or (is_whole and not overrides):
            return service
        data = data_of(self.layers.merged(*key), SERVICE)
        self._layered[key] = Service.model_validate(data, strict=True)
        return self._layered[key]
