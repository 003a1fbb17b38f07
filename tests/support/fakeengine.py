"""A Docker engine in memory: its objects and its words (those of Docker 20.10), kept honest by the contract suite."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import itertools
import json
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.fakeprograms import Gate, Process

NEVER = "0001-01-01T00:00:00Z"
COUNTER = itertools.count(1)


class Answer(Exception):
    """An error as the engine gives it."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message
        super().__init__(message)


def new_id() -> str:
    return hashlib.sha256(f"{next(COUNTER)}".encode()).hexdigest()


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "000Z")


def _already_set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


def familiar(name: str) -> str:
    """As Docker shows a name."""
    return name.removeprefix("docker.io/library/").removeprefix("docker.io/")


@dataclass(frozen=True)
class FakeImage:
    id: str
    labels: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("/bin/stub",)
    diff_ids: tuple[str, ...] = ()


@dataclass
class FakeRegistry:
    """`login` is what it wants, as `user:password`; pulls begin, and go on when `hangs` is set. `breaks_off`: then the
    engine dies. `dies`: so many pulls end before their layers are there, and after the first none begins any more until
    that number is used up."""

    images: dict[str, FakeImage] = field(default_factory=dict)  # by NAME:TAG
    login: str | None = None
    hangs: threading.Event = field(default_factory=_already_set)
    breaks_off: bool = False
    dies: int = 0
    pulls: int = 0


@dataclass
class FakeContainer:
    id: str
    name: str
    body: dict[str, Any]
    image: FakeImage
    status: str = "created"
    exit_code: int = 0
    error: str = ""
    restarts: int = 0
    bytes_read: int = 0
    started_at: str = NEVER
    finished_at: str = NEVER
    policy: str = "no"
    retries: int = 0
    log: list[tuple[str, str]] = field(default_factory=list)  # (time, line)
    files: dict[str, tuple[tarfile.TarInfo, bytes]] = field(default_factory=dict)
    process: Process | None = None
    gate: Gate | None = None
    wanted: bool = False  # to run: what tells a stop from an exit
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def is_live(self) -> bool:
        return self.status in ("running", "paused", "restarting")

    @property
    def host_config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.body.get("HostConfig") or {}
        return config

    @property
    def binding(self) -> tuple[str, int] | None:
        for bindings in (self.host_config.get("PortBindings") or {}).values():
            for one in bindings:
                return one.get("HostIp") or "0.0.0.0", int(one["HostPort"])
        return None

    @property
    def labels(self) -> dict[str, str]:
        return {**self.image.labels, **(self.body.get("Labels") or {})}


@dataclass
class FakeExec:
    """A program in a container; `code` is None while it runs."""

    container: FakeContainer
    argv: list[str]
    code: int | None = None
    started: bool = False


class FakeEngine:
    """All methods raise Answer where a real engine refuses."""

    def __init__(self, gpus: tuple[str, ...] = ()) -> None:
        self.images: dict[str, FakeImage] = {}  # by full reference as it was pulled or tagged
        self.registries: dict[str, FakeRegistry] = {}
        self.containers: dict[str, FakeContainer] = {}
        self.execs: dict[str, FakeExec] = {}
        self.gpus = gpus
        self.requests: list[str] = []  # METHOD PATH, for tests that count
        self.containerd = False  # keeps images in containerd's store
        self.unpacking: list[str] = []  # why that store unpacks none
        self.is_full = False  # its disk: settings cannot be written down
        self.going: set[str] = set()  # containers that it removes by itself, which goes on
        self.lock = threading.RLock()

    def close(self) -> None:
        self.going.clear()
        for container in list(self.containers.values()):
            self.remove(container.id, force=True)

    # --- images --------------------------------------------------------------------

    def image(self, reference: str) -> FakeImage:
        reference = familiar(reference)
        for name, image in self.images.items():
            if reference in (image.id, name, name.removesuffix(":latest")):
                return image
        raise Answer(404, f"No such image: {reference}")

    def pull(self, name: str, tag: str, login: str | None) -> list[dict[str, Any]]:
        """The stream's messages. `docker.io/` is left out of names, as Docker does."""
        host, _, path = name.partition("/")
        registry = self.registries.get(host)
        if registry is None:
            raise Answer(500, f'Get "http://{host}/v2/": dial tcp {host}: connect: connection refused')
        if registry.login is not None and login != registry.login:
            url = f"https://{host}/v2/{path}/manifests/{tag}"
            why = f'Head "{url}": ' + ("no basic auth credentials" if login is None else "unauthorized")
            raise Answer(500, why if login is None else f"{why}: authentication required")
        separator = "@" if tag.startswith("sha256:") else ":"
        image = registry.images.get(f"{path}{separator}{tag}")
        if image is None:
            raise Answer(404, f"manifest for {name}:{tag} not found: manifest unknown: manifest unknown")
        layer = image.id.removeprefix("sha256:")[:12]
        registry.pulls += 1
        if registry.pulls <= registry.dies:
            some = {"status": "Downloading", "progressDetail": {"current": 512, "total": 1024}, "id": layer}
            refused = f'Get "http://{host}/v2/": dial tcp {host}: connect: connection refused'
            return [*([some] if registry.pulls == 1 else []), {"errorDetail": {"message": refused}, "error": refused}]
        if not registry.breaks_off:
            self.images[f"{name}{separator}{tag}"] = image
            for known in [k for k, found in registry.images.items() if found is image and "@" in k]:
                self.images[f"{host}/{known}"] = image
        return [
            {"status": f"Pulling from {path}", "id": tag},
            {"status": "Pulling fs layer", "progressDetail": {}, "id": layer},
            {"status": "Downloading", "progressDetail": {"current": 512, "total": 1024}, "id": layer},
            {"status": "Download complete", "progressDetail": {}, "id": layer},
            {"status": "Extracting", "progressDetail": {"current": 1024, "total": 1024}, "id": layer},
            {"status": "Pull complete", "progressDetail": {}, "id": layer},
            {"status": f"Status: Downloaded newer image for {name}:{tag}"},
        ]

    def load(self, data: bytes) -> str:
        """As `docker load`: layers that some image has already need no file. ValueError in Docker's words."""
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            files = {m.name: tar.extractfile(m) for m in tar.getmembers()}
            read = {name: file.read() for name, file in files.items() if file is not None}
        if self.containerd:
            return self._load_layout(read)
        (entry,) = json.loads(read["manifest.json"])
        config = json.loads(read[entry["Config"]])
        diff_ids = tuple(config["rootfs"]["diff_ids"])
        there = {image.diff_ids[: i + 1] for image in self.images.values() for i in range(len(image.diff_ids))}
        for index, (diff_id, layer) in enumerate(zip(diff_ids, entry["Layers"], strict=True)):
            if diff_ids[: index + 1] in there:
                continue
            if layer not in read:
                raise ValueError(f"open /var/lib/docker/tmp/docker-import-1/{layer}: no such file or directory")
            unpacked = gzip.decompress(read[layer]) if read[layer][:2] == b"\x1f\x8b" else read[layer]
            if (got := "sha256:" + hashlib.sha256(unpacked).hexdigest()) != diff_id:
                raise ValueError(f'invalid diffID for layer {index}: expected "{diff_id}", got "{got}"')
        image_id = "sha256:" + hashlib.sha256(read[entry["Config"]]).hexdigest()
        names = entry["RepoTags"] or [image_id]
        for name in names:
            self.images[familiar(name)] = FakeImage(image_id, config["config"].get("Labels") or {}, diff_ids=diff_ids)
        return str(names[0])

    def _load_layout(self, read: Mapping[str, bytes]) -> str:
        """As with containerd's image store: every blob is wanted, and the image is known by its manifest."""
        if "oci-layout" not in read:
            raise ValueError("unrecognized image format")

        def blob(entry: Mapping[str, Any]) -> bytes:
            data = read.get("blobs/" + entry["digest"].replace(":", "/"), b"")
            if "sha256:" + hashlib.sha256(data).hexdigest() != entry["digest"]:
                raise ValueError(f"content digest {entry['digest']}: not found")
            return data

        (named,) = json.loads(read["index.json"])["manifests"]
        manifest = json.loads(blob(named))
        config = json.loads(blob(manifest["config"]))
        for layer in manifest["layers"]:
            blob(layer)
        name = str(named["annotations"]["io.containerd.image.name"])
        diff_ids = tuple(config["rootfs"]["diff_ids"])
        self.images[familiar(name)] = FakeImage(
            named["digest"], config["config"].get("Labels") or {}, diff_ids=diff_ids
        )
        return name

    def tag(self, reference: str, name: str) -> None:
        self.images[familiar(name)] = self.image(reference)

    # --- containers ------------------------------------------------------------------

    def find(self, reference: str) -> FakeContainer:
        for container in self.containers.values():
            if reference in (container.id, container.name) or (
                len(reference) >= 12 and container.id.startswith(reference)
            ):
                return container
        raise Answer(404, f"No such container: {reference}")

    def create(self, name: str, body: dict[str, Any]) -> FakeContainer:
        with self.lock:
            image = self.image(body["Image"])
            for taken in self.containers.values():
                if taken.name == name:
                    raise Answer(
                        409,
                        f'Conflict. The container name "/{name}" is already in use by container "{taken.id}". You have '
                        "to remove (or rename) that container to be able to reuse that name.",
                    )
            for mount in (body.get("HostConfig") or {}).get("Mounts") or ():
                if mount["Type"] == "bind" and not Path(mount["Source"]).exists():
                    raise Answer(
                        400,
                        f'invalid mount config for type "bind": bind source path does not exist: {mount["Source"]}',
                    )
            container = FakeContainer(new_id(), name, body, image)
            container.policy = (container.host_config.get("RestartPolicy") or {}).get("Name") or "no"
            self.containers[container.id] = container
            return container

    def start(self, reference: str) -> bool:
        """False when it ran already."""
        with self.lock:
            container = self.find(reference)
            if container.status == "paused":
                raise Answer(409, "cannot start a paused container, try unpause instead")
            if container.is_live:
                return False
            container.restarts = 0
            self._launch(container)
            return True

    def _launch(self, container: FakeContainer) -> None:
        self._check_gpus(container)
        if container.binding is not None:
            self._bind(container, container.binding)
        body = container.body
        argv = [*(body.get("Entrypoint") or ()), *(body.get("Cmd") or container.image.command)]
        if argv[0] not in ("/bin/stub", "sleep", "printf"):
            self._unbind(container)
            container.exit_code = 127
            raise Answer(
                400,
                "failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process "
                f'caused: exec: "{argv[0]}": executable file not found in $PATH: unknown',
            )
        env = dict(entry.split("=", 1) for entry in body.get("Env") or ())
        container.process = Process(argv, env, lambda line: container.log.append((now(), line)), container.binding)
        container.status, container.started_at, container.wanted = "running", now(), True
        container.error, container.exit_code = "", 0
        container.ended.clear()
        threading.Thread(target=self._run, args=(container, container.process), daemon=True).start()

    def _check_gpus(self, container: FakeContainer) -> None:
        for request in container.host_config.get("DeviceRequests") or ():
            if not self.gpus:
                raise Answer(500, 'could not select device driver "" with capabilities: [[gpu]]')
            for gpu in request.get("DeviceIDs") or ():
                if gpu not in self.gpus:
                    raise Answer(500, f"nvidia-container-cli: device error: {gpu}: unknown device: unknown")

    def _bind(self, container: FakeContainer, binding: tuple[str, int]) -> None:
        prefix = "driver failed programming external connectivity on endpoint " + container.name + " (0): "
        if any(other.gate is not None and other.binding == binding for other in self.containers.values()):
            raise Answer(500, f"{prefix}Bind for {binding[0]}:{binding[1]} failed: port is already allocated")
        try:
            container.gate = Gate(binding)
        except OSError as error:
            why = "address already in use" if error.errno == errno.EADDRINUSE else "cannot assign requested address"
            address = f"{binding[0]}:{binding[1]}"
            raise Answer(500, f"{prefix}Error starting userland proxy: listen tcp4 {address}: bind: {why}") from None

    def _unbind(self, container: FakeContainer) -> None:
        gate, container.gate = container.gate, None
        if gate is not None:
            gate.end()

    def _run(self, container: FakeContainer, process: Process) -> None:
        code = process.run()
        again = False
        with self.lock:
            self._unbind(container)
            container.exit_code, container.finished_at = code, now()
            again = container.wanted and container.policy in ("always", "unless-stopped")
            container.status = "restarting" if again else "exited"
            if not again:
                container.ended.set()
        if again:
            threading.Timer(0.1, self._again, (container,)).start()

    def _again(self, container: FakeContainer) -> None:
        with self.lock:
            if container.wanted and container.id in self.containers:
                container.restarts += 1
                with contextlib.suppress(Answer):
                    self._launch(container)
            else:
                container.status = "exited"
                container.ended.set()

    def stop(self, reference: str) -> bool:
        with self.lock:
            container = self.find(reference)
            if not container.is_live:
                return False
            container.wanted = False
            if container.process is not None:
                container.process.stopping.set()
        container.ended.wait(10)
        return True

    def rename(self, reference: str, name: str) -> None:
        with self.lock:
            container = self.find(reference)
            if any(other.name == name for other in self.containers.values()):
                raise Answer(409, f'Conflict. The container name "/{name}" is already in use by container.')
            container.name = name

    def pause(self, reference: str, paused: bool) -> None:
        container = self.find(reference)
        if container.status != ("running" if paused else "paused"):
            raise Answer(409, f"Container {container.id} is not {'running' if paused else 'paused'}")
        container.status = "paused" if paused else "running"

    def remove(self, reference: str, force: bool) -> None:
        container = self.find(reference)
        if container.id in self.going:
            raise Answer(409, f"removal of container {container.id} is already in progress")
        if container.is_live:
            if not force:
                raise Answer(
                    409,
                    f"You cannot remove a {container.status} container {container.id}. Stop the container before "
                    "attempting removal or force remove",
                )
            self.stop(container.id)
        self.containers.pop(container.id, None)

    # --- programs in containers ----------------------------------------------------------

    def exec_create(self, reference: str, argv: list[str]) -> str:
        container = self.find(reference)
        if not container.is_live:
            raise Answer(409, f"Container {container.id} is not running")
        id_ = new_id()
        self.execs[id_] = FakeExec(container, argv)
        return id_

    def exec_start(self, id_: str) -> None:
        """Detached: it runs on its own."""
        found = self.execs[id_]
        process = found.container.process
        if found.argv[0] != "prepare" or process is None:
            found.code, found.started = 127, True
            raise Answer(
                400,
                "OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: "
                f'exec: "{found.argv[0]}": executable file not found in $PATH: unknown',
            )

        def run() -> None:
            found.code = process.prepare(*found.argv[1:])

        found.started = True
        threading.Thread(target=run, daemon=True).start()

    # --- files ---------------------------------------------------------------------------

    def put_files(self, reference: str, data: bytes) -> None:
        container = self.find(reference)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                path = "/" + member.name.strip("/")
                if path.startswith("/bin/busybox/"):
                    raise Answer(500, "Error processing tar file(exit status 1): mkdir /bin/busybox: not a directory")
                file = tar.extractfile(member)
                container.files[path] = (member, file.read() if file else b"")

    def file(self, reference: str, path: str) -> tuple[tarfile.TarInfo, bytes]:
        found = self.find(reference).files.get(path)
        if found is None:
            raise Answer(404, f"Could not find the file {path} in container {reference}")
        return found

    # --- what the engine says of them ----------------------------------------------------

    def inspect(self, reference: str) -> dict[str, Any]:
        with self.lock:
            c = self.find(reference)
            policy = {"Name": c.policy, "MaximumRetryCount": c.retries}
            return {
                "Id": c.id,
                "Name": f"/{c.name}",
                "Image": c.image.id,
                "RestartCount": c.restarts,
                "State": {
                    "Status": c.status,
                    "Running": c.is_live,
                    "ExitCode": c.exit_code,
                    "OOMKilled": False,
                    "Error": c.error,
                    "StartedAt": c.started_at,
                    "FinishedAt": c.finished_at,
                    "Pid": 4242 if c.is_live else 0,
                },
                "Config": {"Image": c.body["Image"], "Env": c.body.get("Env"), "Labels": c.labels, "Tty": False},
                "HostConfig": {**c.host_config, "RestartPolicy": policy},
                "NetworkSettings": {"Ports": c.host_config.get("PortBindings") if c.is_live else {}},
            }

    def listing(self, port: str | None, everything: bool) -> list[dict[str, Any]]:
        return [
            {"Id": c.id, "Names": [f"/{c.name}"], "Image": c.body["Image"], "ImageID": c.image.id, "Labels": c.labels}
            for c in list(self.containers.values())
            if (everything or c.is_live)
            and (port is None or (c.is_live and c.binding is not None and str(c.binding[1]) == port))
        ]
