"""Models on the controller's own disk: a file with all its parts, or a folder. Told apart by size and time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from deployer.formats.gguf import parse_gguf_start
from deployer.formats.gguf_parts import split_parts
from deployer.formats.text import one_line
from deployer.values.canonical import digest
from deployer.values.weights import Listing, WeightFile
from deployer.weights.access import MOST_FILES, failure

START = 16_384  # bytes of a GGUF header that are read
MAX_CONFIG = 65_536


def list_local(source: str, folder: Path) -> Listing:
    """`local://models/x` is relative to the spec's folder, `local:///srv/x` is not. OperationError."""
    root = folder / source.removeprefix("local://")
    try:
        files = tuple(_files(root, source))
        architectures, pooling = _about(root)
    except OSError as error:
        hint = "correct `source`; it is a path on the machine that deployer runs on"
        raise failure("no-such-source", f"`{source}` cannot be read here: {error.strerror}", hint) from None
    commit = digest([[file.path, file.size, file.tag] for file in files])[:40]
    return Listing(source, "", commit, files, architectures, pooling)


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


def _about(root: Path) -> tuple[tuple[str, ...], int | None]:
    ggufs = [root] if root.suffix == ".gguf" else sorted(root.glob("*.gguf")) if root.is_dir() else []
    if ggufs:
        with ggufs[0].open("rb") as file:
            said = parse_gguf_start(file.read(START))
        architecture = said.get("general.architecture")
        pooling = said.get(f"{architecture}.pooling_type")
        named = (one_line(architecture),) if isinstance(architecture, str) else ()
        return named, pooling if isinstance(pooling, int) else None
    config = root / "config.json"
    if not config.is_file():
        return (), None
    with config.open("rb") as file:
        text = file.read(MAX_CONFIG + 1)
    return _architectures(text), None


def _architectures(text: bytes) -> tuple[str, ...]:
    try:
        said = json.loads(text) if len(text) <= MAX_CONFIG else None
    except (ValueError, RecursionError):
        said = None
    named = said.get("architectures") if isinstance(said, dict) else None
    return tuple(one_line(n) for n in named[:8] if isinstance(n, str)) if isinstance(named, list) else ()
