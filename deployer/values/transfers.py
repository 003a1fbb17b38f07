"""What brings images and weights to a host, as data: operations that nothing has to be stopped for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from deployer.dataclass import dataclass
from deployer.values.container import ContainerSpec
from deployer.values.image_content import ImageContent
from deployer.values.weights import Manifest


@dataclass(frozen=True, slots=True)
class PullImage:
    """`digest`: of what the registry has under that name, so that all hosts get the same; None: whatever it means by
    then. `ids`: by which Docker may know the image afterwards; (): whatever comes. `size`: bytes to fetch."""

    image: str
    registry: str  # the registry's host, for its login
    digest: str | None = None
    ids: tuple[str, ...] = ()
    size: int | None = None
    op: Literal["pull-image"] = "pull-image"


@dataclass(frozen=True, slots=True)
class LoadImage:
    """Brings an image from the controller: out of `archive`, a file there, or of a registry that the host need not
    reach. Only layers that the host lacks are sent."""

    image: str
    content: ImageContent
    digest: str | None = None
    archive: str = ""
    op: Literal["load-image"] = "load-image"


@dataclass(frozen=True, slots=True)
class FetchWeights:
    """All files of a manifest into the host's cache, each checked; what is there and right stays. `by`: the host gets
    them itself, or the controller brings them. `peers`: hosts that are asked before, the nearest first. `shared_with`:
    a host that has the same folder, and brings them there before."""

    cache_dir: str
    manifest: Manifest
    by: Literal["host", "controller"] = "host"
    peers: tuple[str, ...] = ()
    shared_with: str | None = None
    op: Literal["fetch-weights"] = "fetch-weights"


@dataclass(frozen=True, slots=True)
class ServeWeights:
    """Other hosts may get the files of a manifest from this one's cache, while they still arrive there, until all hosts
    in `to` have them. `port`: of the address that the host is reached at. Where it cannot be, that is no failure."""

    cache_dir: str
    manifest: Manifest
    port: int
    to: tuple[str, ...]
    op: Literal["serve-weights"] = "serve-weights"


@dataclass(frozen=True, slots=True)
class CheckCopy:
    """Reads those files of a copy of a model that nobody has read as they are, writes down what they are in deployer's
    own folder, and holds them against the manifest. `root`: what they may not lead out of; `cache_dir`: where the model
    is fetched to if this copy is not it. `read_by`: a host that reads the same files of a file server before."""

    root: str
    folder: str
    manifest: Manifest
    cache_dir: str
    read_by: str | None = None
    op: Literal["check-copy"] = "check-copy"


@dataclass(frozen=True, slots=True)
class FillCache:
    """Runs an image's own program that fetches its model into the cache that `spec` mounts; the container is a task's,
    and gone afterwards. `labels` as of CreateContainer; `timeout` in seconds."""

    name: str
    spec: ContainerSpec
    labels: Mapping[str, str]
    timeout: float
    op: Literal["fill-cache"] = "fill-cache"


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    """A directory of deployer's own (caches); exists afterwards, its content untouched."""

    path: str
    mode: int = 0o755
    op: Literal["make-directory"] = "make-directory"
