"""Files of a model, read piece by piece wherever they are; here those in a folder of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Protocol

from deployer.errors import DeployerError, Diagnostic

MOST_ENTRIES = 20_000


class ModelFiles(Protocol):
    """`sizes`: bytes of each file by its name, None where that is not known. `read` may give less than was asked for,
    at the end of a file. Both raise DeployerError."""

    name: str

    def sizes(self) -> Mapping[str, int | None]: ...

    def read(self, file: str, start: int, length: int) -> bytes: ...


class FolderFiles:
    """Files that lie in one folder. A link that leads out of it is refused: whoever wrote the folder may not be whoever
    runs this. The snapshots of a Hub cache lead to the blobs beside them."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._folder = folder
        root = folder.resolve()
        self._root = root.parent.parent if root.parent.name == "snapshots" else root

    def sizes(self) -> Mapping[str, int | None]:
        try:
            entries = [*islice(self._folder.iterdir(), MOST_ENTRIES)]
        except OSError as error:
            raise self._unreadable(str(self._folder), error) from None
        return {entry.name: _size(entry) for entry in sorted(entries) if entry.is_file()}

    def read(self, file: str, start: int, length: int) -> bytes:
        path = self._folder / file
        if not path.resolve().is_relative_to(self._root):
            message = f"`{path}` is a link that leads out of its folder"
            raise DeployerError(Diagnostic("model-unreadable", message, hint="name the folder that it leads to"))
        try:
            with path.open("rb") as opened:
                opened.seek(start)
                return opened.read(length)
        except OSError as error:
            raise self._unreadable(str(path), error) from None

    def _unreadable(self, path: str, error: OSError) -> DeployerError:
        message = f"`{path}` cannot be read: {error.strerror}"
        return DeployerError(Diagnostic("model-unreadable", message, hint="make it readable, or name another model"))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
