"""Models on the controller's own disk: a file with all its parts, or a folder. Told apart by size and time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from deployer.formats.gguf_parts import split_parts
from deployer.values.canonical import digest
from deployer.values.weights import Listing, WeightFile
from deployer.weights.access import MOST_FILES, failure


def list_local(source: str, folder: Path) -> Listing:
    """`local://models/x` is relative to the spec's folder, `local:///srv/x` is not. OperationError."""
    root = folder / source.removeprefix("local://")
    try:
        files = tuple(_files(root, source))
    except OSError as error:
        hint = "correct `source`; it is a path on the machine that deployer runs on"
        raise failure("no-such-source", f"`{source}` cannot be read here: {error.strerror}", hint) from None
    commit = digest([[file.path, file.size, file.tag] for file in files])[:40]
    return Listing(source, "", commit, files)


def _files(root: Path, source: str) -> Iterator[WeightFile]:
    if not root.is_dir():
        for part in split_parts(str(root)):
            yield _file(Path(part), Path(part).name)
        return
    for count, path in enumerate(sorted(_below(root))):
        if count >= MOST_FILES:
            raise failure("bad-listing", f"`{source}` has more than {MOST_FILES} files", "name the model's own folder")
        yield _file(path, path.relative_to(root).as_posix())


def _below(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in names if Path(folder, name).is_file())


def _file(path: Path, name: str) -> WeightFile:
    stat = path.stat()
    return WeightFile(name, stat.st_size, tag=f"{stat.st_size} {stat.st_mtime_ns}", url=str(path.absolute()))
