"""Project: a parsed deploy.yaml with all that belongs to it. What `load` returns and everything else reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.errors import Diagnostic, Where
from deployer.spec.language import DeploySpec

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a merged value comes from: `spec`, `profile long-context`, `defaults`, `edition`, ..."""

    layer: str
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """`files`: content of every file the spec names, by the path as written. `written`: for each service, all
    that people wrote about it (merged settings, its model, backend pin and files), to tell an edit from a new
    default. `origins`: of every leaf of the merged services, for `render --explain`."""

    spec: DeploySpec
    path: str
    positions: Mapping[KeyPath, Where]
    files: Mapping[str, bytes] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[KeyPath, Origin] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()

    def where(self, *path: str | int) -> Where | None:
        """The position of a key, or of its nearest parent that was written."""
        for end in range(len(path), 0, -1):
            found = self.positions.get(path[:end])
            if found is not None:
                return found
        return None
