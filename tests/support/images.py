"""Small images as bytes: layers, configs and manifests, as Docker and OCI write them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

from deployer.formats.oci import MANIFESTS, digest_of
from deployer.values.image_content import Blob, ImageContent

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class MadeImage:
    """One platform's image. `blobs`: everything by digest; `tars`: its layers, unpacked."""

    manifest: bytes
    config: bytes
    blobs: dict[str, bytes]
    tars: tuple[bytes, ...]
    content: ImageContent

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    @property
    def id(self) -> str:
        return digest_of(self.config)


def layer_tar(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), 0o755
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def made_image(*layers: bytes, machine: str = "amd64", labels: dict[str, str] | None = None) -> MadeImage:
    """Of these tars, from the lowest."""
    packed = [gzip.compress(layer, 1, mtime=0) for layer in layers]
    config = json.dumps(
        {
            "architecture": machine,
            "os": "linux",
            "config": {"Cmd": ["/bin/stub"], "Labels": labels or {}},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        }
    ).encode()
    body = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "config": _entry("application/vnd.oci.image.config.v1+json", config),
        "layers": [_entry(LAYER, layer) for layer in packed],
    }
    manifest = json.dumps(body).encode()
    content = ImageContent(
        f"linux/{machine}",
        Blob(digest_of(config), len(config), "application/vnd.oci.image.config.v1+json"),
        tuple(Blob(digest_of(layer), len(layer), LAYER) for layer in packed),
        tuple(digest_of(layer) for layer in layers),
        Blob(digest_of(manifest), len(manifest), MANIFESTS[0]),
    )
    blobs = {digest_of(data): data for data in (config, manifest, *packed)}
    return MadeImage(manifest, config, blobs, layers, content)


def index_of(*images: MadeImage) -> bytes:
    entries = [
        {**_entry(MANIFESTS[0], image.manifest), "platform": {"os": "linux", "architecture": _machine(image)}}
        for image in images
    ]
    attestation = {
        **_entry(MANIFESTS[0], b"{}"),
        "platform": {"os": "unknown", "architecture": "unknown"},
    }
    return json.dumps({"schemaVersion": 2, "manifests": [*entries, attestation]}).encode()


def saved_tar(image: MadeImage, *names: str, packed: bool = False) -> bytes:
    """As `docker save` writes it; `packed`: with compressed layers, as others do."""
    layers = [f"{hashlib.sha256(tar).hexdigest()}/layer.tar" for tar in image.tars]
    data = [image.blobs[blob.digest] for blob in image.content.layers] if packed else image.tars
    entry = {"Config": f"{image.id.removeprefix('sha256:')}.json", "RepoTags": list(names) or None, "Layers": layers}
    files = {entry["Config"]: image.config, **dict(zip(layers, data, strict=True))}
    return tar_of({**files, "manifest.json": json.dumps([entry]).encode()})  # type: ignore[dict-item]


def layout_files(image: MadeImage, name: str | None) -> dict[str, bytes]:
    entry = _entry(MANIFESTS[0], image.manifest)
    if name is not None:
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    blobs = {f"blobs/sha256/{digest.removeprefix('sha256:')}": data for digest, data in image.blobs.items()}
    return {**blobs, "index.json": index, "oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _entry(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


def _machine(image: MadeImage) -> str:
    return image.content.platform.partition("/")[2]
