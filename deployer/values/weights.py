"""Weights as values: the files of a model at its source, those of them that a backend is given, and their place in a
host's cache. Paths are relative, with `/`. Knows no hub and no host."""

from __future__ import annotations

import posixpath
import re
from dataclasses import field
from functools import lru_cache

from deployer.dataclass import dataclass
from deployer.values.canonical import digest
from deployer.values.model_shape import ModelShape

MANIFESTS = "manifests"  # folder of a cache: a file for each manifest that is there whole
PART = ".part"  # ends the name of a blob that is still arriving
ID_LENGTH = 16  # hex digits
FOUND = "model_dirs"  # as `origin`: nobody but a host's own folders said what there is
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where else the same bytes are; `hub`: whose token goes there."""

    url: str
    hub: str


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a model. `sha256` is that of its content, `git` the id of git's blob of it, `tag` whatever else its
    source tells contents apart by: a source gives one of them. `url`: where it is fetched from, an absolute path of the
    controller's own disk too."""

    path: str
    size: int
    sha256: str | None = None
    git: str | None = None
    tag: str | None = None
    url: str = ""
    others: tuple[Place, ...] = ()

    @property
    def blob(self) -> str:
        """The name of its content in a cache, as huggingface_hub names blobs."""
        tagged = digest(["tag", self.tag, self.path, self.size]) if self.tag is not None else None
        return self.git or tagged or self.sha256 or digest(["size", self.path, self.size])


@dataclass(frozen=True, slots=True)
class Listing:
    """All that a source has of a model at one commit. `origin`: which of several sources said so, where it is not the
    first, under whose name the model is kept. `architectures`, `pooling`, `shape`: as of `facts.PathFact`. `pinned`:
    that commit was asked for, by the spec or by deploy.lock."""

    source: str
    revision: str
    commit: str
    files: tuple[WeightFile, ...]
    architectures: tuple[str, ...] = ()
    pooling: int | None = None
    pinned: bool = False
    origin: str = ""
    shape: ModelShape | None = None

    @property
    def is_found(self) -> bool:
        """Taken as it lies on a host: no hub and no lock said what it must be."""
        return self.origin == FOUND


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files that one backend is given of a model: at one commit, in a known place of every host's cache."""

    source: str
    revision: str
    commit: str
    files: tuple[WeightFile, ...] = field(default=())
    origin: str = ""  # as of the listing

    @property
    def is_found(self) -> bool:
        """As of the listing."""
        return self.origin == FOUND

    @property
    def hub(self) -> str:
        """Whose files' `url` it is."""
        return (self.origin or self.source).partition("://")[0]

    @property
    def id(self) -> str:
        """Tells file sets apart: what one backend takes of a commit is never another's whole."""
        return _id_of(self)

    @property
    def folder(self) -> str:
        return folder_of(self.source)

    @property
    def snapshot(self) -> str:
        """The model's files by their own names."""
        return posixpath.join(self.folder, "snapshots", self.commit)

    @property
    def size(self) -> int:
        return sum({file.blob: file.size for file in self.files}.values())


@lru_cache(maxsize=1024)
def _id_of(manifest: Manifest) -> str:
    """Kept: a placement asks for it once a host."""
    files = [[file.path, file.size, file.blob] for file in manifest.files]
    return digest([manifest.source, manifest.commit, sorted(files)])[:ID_LENGTH]


def folder_of(source: str) -> str:
    """A source's place in a cache: of Hugging Face the Hub's own layout, others alike under their scheme's name."""
    scheme, _, rest = source.partition("://")
    if scheme == "hf":
        return posixpath.join("hub", "--".join(("models", *rest.split("/"))))
    if scheme == "modelscope":
        return posixpath.join("modelscope", "--".join(("models", *rest.split("/"))))
    name = UNSAFE.sub("-", posixpath.basename(rest.rstrip("/")))[:60].strip(".-") or "model"
    return posixpath.join(scheme, f"{name}--{digest(source)[:12]}")


def blobs_of(folder: str) -> str:
    return posixpath.join(folder, "blobs")
