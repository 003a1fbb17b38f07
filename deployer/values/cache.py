"""What is in a host's cache of weights, and who uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.values.presynced import Copy
from deployer.values.weights import Manifest

State = Literal["whole", "changed"]


@dataclass(frozen=True, slots=True)
class KeptManifest:
    """A manifest as it is written on a host; `checked`: when all its files were last read and found right, in seconds
    of the epoch by the host's clock."""

    id: str
    checked: int
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class CacheContents:
    """`blobs`: by folder of a model the sizes and times of its contents, parts of unfinished ones too. `unread`: names
    of manifests that cannot be read. `shared`: what the folder is called on every host that has
    it, empty for one of the host's own."""

    cache_dir: str
    manifests: tuple[KeptManifest, ...] = ()
    blobs: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    shared: str = ""


@dataclass(frozen=True, slots=True)
class CacheUser:
    """A container, of whatever project and whether it runs or not. `manifests`: ids its labels name; `mounts`: folders
    of this host that it sees; `since`: when it was made, in seconds of the epoch."""

    name: str
    manifests: tuple[str, ...]
    mounts: tuple[str, ...]
    since: int = 0


@dataclass(frozen=True, slots=True)
class CachedModel:
    """One manifest, judged by what is cheap to see. `missing`: bytes. `users`: names of containers; `since`: when the
    first of them was made."""

    host: str
    kept: KeptManifest
    state: State
    missing: int = 0
    users: tuple[str, ...] = ()
    since: int | None = None


@dataclass(frozen=True, slots=True)
class KeptCopy:
    """A copy of one of the spec's models that deployer did not make. `unread`: nobody has read all of it yet. `shared`:
    what it is called on every host that has it, empty where it is this one's own. The rest as of `CachedModel`."""

    host: str
    source: str
    copy: Copy
    state: Literal["whole", "changed", "unread"]
    users: tuple[str, ...] = ()
    since: int | None = None
    shared: str = ""


@dataclass(frozen=True, slots=True)
class HostCache:
    """`partial`: bytes of what never arrived whole. `copies`: in the host's `model_dirs`. `shared`: as of
    `CacheContents`; `others`: hosts of the spec that have it too. `unseen`: hosts whose containers nobody could look
    at, though they may use it."""

    host: str
    cache_dir: str
    models: tuple[CachedModel, ...] = ()
    partial: int = 0
    problem: Diagnostic | None = None
    copies: tuple[KeptCopy, ...] = ()
    shared: str = ""
    others: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Removal:
    """Of one model's folder on one host: manifests, commits and contents that no other manifest
    names."""

    host: str
    cache_dir: str
    folder: str
    manifests: tuple[str, ...]
    commits: tuple[str, ...]
    blobs: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Checked:
    """One manifest after every file of it was read. `wrong`: files that were not right and are now."""

    host: str
    kept: KeptManifest
    wrong: tuple[str, ...] = ()
    fetched: int = 0
    problem: Diagnostic | None = None


@dataclass(frozen=True, slots=True)
class CheckedCopy:
    """A copy after what was once read of it was read again. `wrong`: by path, why a file is not what it was."""

    kept: KeptCopy
    wrong: Mapping[str, str] = field(default_factory=dict)
    problem: Diagnostic | None = None
