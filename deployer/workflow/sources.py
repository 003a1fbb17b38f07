"""The texts a spec was loaded from, kept so that the very same can be loaded again."""

from __future__ import annotations

from dataclasses import field
from errno import ENOENT

from deployer.dataclass import dataclass
from deployer.workflow.inputs import read_file


@dataclass(slots=True)
class Sources:
    """Every file that was read for a spec, by the path it was read by."""

    files: dict[str, bytes] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        self.files[path] = found = read_file(path)
        return found

    def replay(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(ENOENT, "it is not in the saved plan", path)
        return self.files[path]
