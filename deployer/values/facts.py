"""What was observed: host facts, containers, who holds which GPU and port. Sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.values.container import ContainerSpec
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.model_shape import ModelShape
from deployer.values.names import ReplicaKey
from deployer.values.nim import ImageProfiles
from deployer.values.presynced import Copy
from deployer.values.records import LockFact, ProjectRecord, Proven


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket; `owner` is `process NAME (pid N)`, `container NAME`, `leftover docker-proxy (pid N)` whose
    container is gone, or None: not visible to this user."""

    address: str
    port: int
    protocol: Literal["tcp", "udp"] = "tcp"
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """The filesystem under a path that was asked for. `server`: as of `linux.Filesystem`."""

    path: str
    mount: str
    total: int
    free: int
    server: str = ""


@dataclass(frozen=True, slots=True)
class PathFact:
    """A path of the spec on this host; `size` of a file in bytes, `entries` of a directory (names, at most 1000).

    `writable`: by the user that Docker is reached as; of a path that is missing, the nearest folder that is there.
    `architectures`: what the model's config.json says, or the one of a GGUF header; `pooling`: that header's; `shape`:
    what the model is made of, by the same.
    """

    path: str
    kind: Literal["file", "directory", "missing", "denied", "other"]
    size: int | None = None
    entries: tuple[str, ...] = ()
    real: str | None = None  # with symlinks resolved
    writable: bool | None = None
    architectures: tuple[str, ...] = ()
    pooling: int | None = None
    shape: ModelShape | None = None


@dataclass(frozen=True, slots=True)
class ImageFact:
    id: str  # sha256:... of the config
    tags: tuple[str, ...] = ()  # repo:tag
    digests: tuple[str, ...] = ()  # repo@sha256:...
    size: int = 0


@dataclass(frozen=True, slots=True)
class ImageFlags:
    """The flags that an image's own `--help` named, when it was asked on this host."""

    image: str  # sha256:... of the config
    asked: str  # RFC 3339, by the host's clock
    flags: tuple[str, ...]

    def has(self, flag: str) -> bool:
        """Also what parsers take for it: `_` for `-`, `--no-X` for a switch `--X`, `--X.key` for a part of `--X`."""
        for name in (flag, flag.replace("--no-", "--", 1)):
            for written in (name, "--" + name[2:].replace("_", "-"), "--" + name[2:].replace("-", "_")):
                if written in self.flags or written.partition(".")[0] in self.flags:
                    return True
        return False


@dataclass(frozen=True, slots=True)
class DockerFacts:
    version: str
    api_version: str
    root_dir: str = "/var/lib/docker"
    runtimes: tuple[str, ...] = ()
    default_runtime: str = "runc"
    storage_driver: str = ""
    cgroup_version: str = ""
    rootless: bool = False
    security: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What our labels on a container say. `spec` is None when the label does not parse or its digest is wrong."""

    project: str
    id: str
    key: ReplicaKey
    member: int
    role: str  # replica | task
    revision: str
    spec: ContainerSpec | None
    decisions: Mapping[str, object] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)  # name -> fingerprint
    version: str = ""
    apply: str = ""


# Docker's own words, and `unresponsive`: one that runs and serves nobody, as whoever watches it found


ContainerStatus = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead", "unresponsive"]


@dataclass(frozen=True, slots=True)
class ObservedContainer:
    """A container on a host. `recorded` is None for all that isn't ours; no environment is kept of those."""

    id: str
    name: str
    image: str  # as the container was created with
    image_id: str
    status: ContainerStatus
    recorded: Recorded | None = None
    health: str | None = None  # Docker's own health check: starting | healthy | unhealthy
    exit_code: int | None = None
    error: str = ""  # Docker's State.Error
    oom_killed: bool = False
    restarts: int = 0
    started_at: str = ""  # RFC 3339
    finished_at: str = ""
    restart_policy: str = "no"
    restart_retries: int = 0  # of `on-failure`; 0: without end
    auto_remove: bool = False  # gone once it stops
    ports: tuple[tuple[str, int, str], ...] = ()  # (address, host port, tcp|udp), published
    gpus: tuple[str, ...] = ()  # as asked for: UUIDs, indexes, or `all`
    gpu_share: int | None = None  # bytes of each of its GPUs that it takes at most; None: it may take all
    network: str = "bridge"
    labelled_project: str | None = None  # deployer.project of whoever owns it, ours or another's
    labelled_id: str | None = None
    pid: int = 0
    unread: str = ""  # why Docker could not describe it; what it asked for, its GPUs too, is then not known


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host, observed once."""

    name: str
    hostname: str
    os: str  # PRETTY_NAME
    kernel: str
    arch: str  # x86_64 | aarch64
    uid: int
    gid: int
    user: str
    cpus: int
    memory_total: int
    memory_available: int
    time: str  # RFC 3339, UTC, of the host's clock
    docker: DockerFacts
    gpu: GpuFacts = field(default_factory=GpuFacts)
    listeners: tuple[Listener, ...] = ()
    disks: tuple[Disk, ...] = ()
    paths: Mapping[str, PathFact] = field(default_factory=dict)
    containers: tuple[ObservedContainer, ...] = ()
    images: tuple[ImageFact, ...] = ()
    ephemeral_ports: tuple[int, int] = (32768, 60999)
    sshd: Mapping[str, str] = field(default_factory=dict)  # maxsessions, maxstartups, where set outside of a Match
    sshd_readable: bool | None = None  # its settings could be read, so that what is not there is sshd's default
    state_writable: bool | None = None  # STATE_DIR can be written by the user that Docker is reached as
    locks: tuple[LockFact, ...] = ()
    records: tuple[ProjectRecord, ...] = ()
    distribution: tuple[str, ...] = ()  # ID of os-release, then its ID_LIKE
    tools: Mapping[str, bool] = field(default_factory=dict)  # commands that were looked for, and whether they are there
    clock_skew: int | None = None  # seconds by which the host's clock is at least ahead (or, below 0, behind)
    folders: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)  # name: size, time
    image_flags: tuple[ImageFlags, ...] = ()  # of images of the spec, as `doctor` asked them
    nim_profiles: tuple[ImageProfiles, ...] = ()  # of images of the spec, as `nim-profiles` asked them
    copies: tuple[Copy, ...] = ()  # of the spec's models, in the host's `model_dirs`
    late_mounts: tuple[str, ...] = ()  # mount points of fstab that Docker's service may start before
    answered: Mapping[str, float | None] = field(default_factory=dict)  # container id: seconds from start to answer
    proven: tuple[Proven, ...] = ()

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        return self.gpu.gpus


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A host that gave no facts, and why (a diagnostic that names the host)."""

    name: str
    reason: Diagnostic
    beside: HostFacts | None = None  # what there is to say of a host whose Docker cannot be used; never recorded


@dataclass(frozen=True, slots=True)
class ObservedState:
    hosts: Mapping[str, HostFacts | Unreachable]

    @property
    def reachable(self) -> Mapping[str, HostFacts]:
        return {n: h for n, h in sorted(self.hosts.items()) if isinstance(h, HostFacts)}

    @property
    def unreachable(self) -> Mapping[str, Unreachable]:
        return {n: h for n, h in sorted(self.hosts.items()) if isinstance(h, Unreachable)}
