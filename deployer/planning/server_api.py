"""Where a service's server is asked: as its backend has it, with what the spec says over it."""

from __future__ import annotations

from typing import Any

from deployer.backends.base import Api, Backend
from deployer.dataclass import replace
from deployer.spec.language import Service

NONE = "none"


def api_of(service: Service, backend: Backend) -> Api:
    """The same value as the backend's where the spec says nothing."""
    if not service.api.model_fields_set:
        return backend.api
    written = {name: path for name, path in service.api if path is not None}
    paths: dict[str, Any] = {name: None if path == NONE else path for name, path in written.items()}
    return replace(backend.api, **paths)
