"""ContainerSpec: everything `docker create` needs, secrets as references. Its digest is the revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from deployer.dataclass import dataclass
from deployer.values.secrets import SecretRef


@dataclass(frozen=True, slots=True)
class Mount:
    """A bind mount (absolute source) or a named volume."""

    source: str
    target: str
    read_only: bool = False
    kind: Literal["bind", "volume"] = "bind"
    create: bool = False  # deployer makes the host directory (its own caches); never for what the spec names
    propagation: str | None = None
    relabel: Literal["z", "Z"] | None = None  # for SELinux, as `docker run -v` has it
    no_copy: bool = False  # a new volume does not get what the image has at the target


@dataclass(frozen=True, slots=True)
class PortBinding:
    container: int
    host: int
    bind: str = "127.0.0.1"
    protocol: Literal["tcp", "udp"] = "tcp"


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """A file that goes into the container before its start; `data` is its content in base64."""

    data: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class SecretFile:
    secret: SecretRef
    mode: int = 0o600
    uid: int = 0
    gid: int = 0
    more: tuple[SecretRef, ...] = ()  # further secrets of the same file, each on a line of its own
    content: str | None = None  # what the file holds, with `{secret}` for the secret as a JSON text; None: just secrets


@dataclass(frozen=True, slots=True)
class Ulimit:
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Docker's own health check; durations in seconds. `test` begins with CMD or CMD-SHELL; () means: switched off,
    None: the image's."""

    test: tuple[str, ...] | None = ()
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    retries: int | None = None


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A placed container. Sizes in bytes, durations in seconds, `gpus` are UUIDs (or `all`)."""

    image: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] = ()
    env: Mapping[str, str | SecretRef] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    ports: tuple[PortBinding, ...] = ()
    gpus: tuple[str, ...] = ()
    runtime: str | None = None
    shm_size: int | None = None
    ipc: str | None = None
    pid: str | None = None
    uts: str | None = None
    network: str = "bridge"
    network_aliases: tuple[str, ...] = ()
    hostname: str | None = None
    dns: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    user: str | None = None
    group_add: tuple[str, ...] = ()
    working_dir: str | None = None
    devices: tuple[str, ...] = ()  # as `docker run --device` writes them
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    privileged: bool = False
    read_only: bool = False
    init: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ulimits: Mapping[str, Ulimit] = field(default_factory=dict)
    memory: int | None = None
    memory_swap: int | None = None
    cpus: float | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids_limit: int | None = None
    oom_score_adj: int | None = None
    restart: str = "always"
    stop_grace: float | None = None
    stop_signal: str | None = None
    healthcheck: Healthcheck | None = None
    log_driver: str | None = "json-file"
    log_options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)  # the user's own; never `deployer.*`
    files: Mapping[str, ShippedFile] = field(default_factory=dict)
    secret_files: Mapping[str, SecretFile] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)  # anything else the Docker API's create body takes

    @property
    def secret_names(self) -> tuple[str, ...]:
        """The secrets this container is given, sorted."""
        by_env = {v.secret for v in self.env.values() if isinstance(v, SecretRef)}
        in_files = {s.secret for f in self.secret_files.values() for s in (f.secret, *f.more)}
        return tuple(sorted(by_env | in_files))
