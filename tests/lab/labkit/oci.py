"""Container images without a daemon: layers from files, pushed to a registry or saved for `docker load`."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True, slots=True)
class Link:
    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    mode: int = 0o755


Entry = Path | bytes | str | Link | Folder  # str: text of a file


@dataclass(frozen=True, slots=True)
class Blob:
    data: bytes
    diff_id: str = ""  # of a layer: digest of the tar inside

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Image:
    layers: tuple[Blob, ...]
    config: Mapping[str, Any] = field(default_factory=dict)  # Entrypoint, Env, Labels, ... as Docker names them

    def config_blob(self) -> Blob:
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        body = {
            "architecture": machine, "os": "linux", "config": dict(self.config), "created": "2025-01-01T00:00:00Z",
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": [{"created": "2025-01-01T00:00:00Z", "created_by": "lab"} for _ in self.layers],
        }  # fmt: skip
        return Blob(json.dumps(body, sort_keys=True).encode())

    def manifest(self) -> bytes:
        config = self.config_blob()
        body = {
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(config.data), "digest": config.digest},
            "layers": [{"mediaType": LAYER, "size": len(b.data), "digest": b.digest} for b in self.layers],
        }  # fmt: skip
        return json.dumps(body, sort_keys=True).encode()


def layer(entries: Mapping[str, Entry]) -> Blob:
    """One layer; the same entries give the same bytes. Folders that are needed appear by themselves."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(_with_parents(entries)):
            _add(archive, path, entries.get(path, Folder()))
    tar = buffer.getvalue()
    return Blob(gzip.compress(tar, 1, mtime=0), "sha256:" + hashlib.sha256(tar).hexdigest())


def _with_parents(entries: Mapping[str, Entry]) -> set[str]:
    parents = {str(parent) for path in entries for parent in Path(path).parents}
    return (set(entries) | parents) - {"."}


def _add(archive: tarfile.TarFile, path: str, entry: Entry) -> None:
    info = tarfile.TarInfo(path)
    info.mtime = 1735689600
    match entry:
        case Folder(mode):
            info.type, info.mode = tarfile.DIRTYPE, mode
            archive.addfile(info)
        case Link(target):
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
            archive.addfile(info)
        case _:
            data = (
                entry.read_bytes() if isinstance(entry, Path) else entry.encode() if isinstance(entry, str) else entry
            )
            executable = isinstance(entry, Path) and entry.stat().st_mode & 0o100
            info.size, info.mode = len(data), 0o755 if executable else 0o644
            archive.addfile(info, io.BytesIO(data))


def libraries(binaries: Iterable[Path]) -> dict[str, Entry]:
    """The shared libraries that programs of this machine need, at the same paths."""
    found: dict[str, Entry] = {}
    for binary in binaries:
        done = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
        for word in done.stdout.split():
            if word.startswith("/"):
                found[word.lstrip("/")] = Path(word).resolve()
    return found


def push(image: Image, registry: str, name: str, login: tuple[str, str] | None = None) -> bool:
    """Pushes to `registry` (HOST:PORT, plain HTTP) as `name` (REPOSITORY:TAG); False where it was there already."""
    repository, _, tag = name.rpartition(":")
    wire = Registry(registry, login)
    manifest = image.manifest()
    if wire.has(f"/v2/{repository}/manifests/{tag}", "sha256:" + hashlib.sha256(manifest).hexdigest()):
        return False
    for blob in (*image.layers, image.config_blob()):
        wire.put_blob(repository, blob)
    wire.put(f"/v2/{repository}/manifests/{tag}", manifest, MANIFEST)
    return True


@dataclass(frozen=True, slots=True)
class Registry:
    """Just enough of the distribution API to push."""

    address: str
    login: tuple[str, str] | None = None

    def request(self, method: str, url: str, body: bytes | None = None, kind: str | None = None) -> tuple[int, Any]:
        headers = {"Accept": MANIFEST, **({"Content-Type": kind} if kind else {})}
        if self.login:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, url, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers
        finally:
            connection.close()

    def has(self, url: str, digest: str) -> bool:
        status, headers = self.request("HEAD", url)
        return status == 200 and headers["Docker-Content-Digest"] == digest

    def put(self, url: str, body: bytes, kind: str) -> None:
        status, _ = self.request("PUT", url, body, kind)
        if status not in (201, 202):
            raise RuntimeError(f"registry {self.address}: PUT {url} gave {status}")

    def put_blob(self, repository: str, blob: Blob) -> None:
        if self.request("HEAD", f"/v2/{repository}/blobs/{blob.digest}")[0] == 200:
            return
        status, headers = self.request("POST", f"/v2/{repository}/blobs/uploads/", b"")
        if status != 202:
            raise RuntimeError(f"registry {self.address}: upload to {repository} gave {status}")
        where = urlsplit(headers["Location"])
        query = f"{where.query}&" if where.query else ""
        self.put(f"{where.path}?{query}digest={blob.digest}", blob.data, "application/octet-stream")


def save(image: Image, name: str, target: Path) -> None:
    """Writes a tar that `docker load` takes."""
    config = image.config_blob()
    layers = [f"{layer.digest.removeprefix('sha256:')}.tar.gz" for layer in image.layers]
    config_name = config.digest.removeprefix("sha256:") + ".json"
    index = [{"Config": config_name, "RepoTags": [name], "Layers": layers}]
    with tarfile.open(target, "w") as archive:
        for path, data in [
            (config_name, config.data),
            *((path, layer.data) for path, layer in zip(layers, image.layers, strict=True)),
            ("manifest.json", json.dumps(index).encode()),
        ]:
            _add(archive, path, data)
