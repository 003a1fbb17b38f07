"""Copies of models that were on a host before deployer: their files as they are now, and as they were when they were
last read. Paths are relative, with `/`. Knows no manifest."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.values.model_shape import ModelShape

RECORDS = "model_dirs"  # folder of STATE_DIR: a file for each copy that was read, named by the SHA-256 of its folder
OUTSIDE = "outside"  # in place of a hash: a link that leads out of what is mounted
ALTERED = "altered"  # and: another content than before, which no size and no time told


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells cheaply that a file is the one it was; `time`: seconds of the epoch, of its last change."""

    size: int
    time: int
    inode: int


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file when it was read whole. `git`: the id of git's blob of it, of small files only."""

    stamp: Stamp
    sha256: str
    git: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """One model in one of a host's `model_dirs`. `asked`: the place by which it was looked for; `root`: the folder that
    a container must see for its links to resolve; `commit`: of a snapshot in the Hub's own layout, else empty; `refs`:
    branches and tags of that layout. The rest as of `facts.PathFact`."""

    asked: str
    root: str
    commit: str
    files: Mapping[str, Stamp]
    read: Mapping[str, ReadFile] = field(default_factory=dict)
    refs: Mapping[str, str] = field(default_factory=dict)
    architectures: tuple[str, ...] = ()
    pooling: int | None = None
    shape: ModelShape | None = None

    @property
    def folder(self) -> str:
        return posixpath.join(self.root, "snapshots", self.commit) if self.commit else self.root

    def current(self, path: str) -> ReadFile | None:
        """What was read of a file that is still the one it was then."""
        read = self.read.get(path)
        return read if read is not None and read.stamp == self.files.get(path) else None

    @property
    def changed(self) -> tuple[str, ...]:
        """Files that are not what they were when they were read, or are gone."""
        altered = (path for path, read in self.read.items() if read.sha256 == ALTERED)
        return tuple(sorted({*altered, *(path for path in self.read if self.current(path) is None)}))
