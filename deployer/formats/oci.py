"""Manifests, lists of manifests and configs of images, Docker's and OCI's: text to values. What they say is hostile:
bounded, and ValueError for whatever is not as the specifications have it. Reads nothing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deployer.dataclass import dataclass
from deployer.values.codec import parse_json
from deployer.values.image_content import Blob, ImageContent
from deployer.values.images import parse_image

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT = ", ".join((*INDEXES, *MANIFESTS))
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'  # `oci-layout`, by which a layout is known
DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
MOST = 4 << 20  # bytes of a manifest, as registries bound them (OCI distribution specification)
MOST_CONFIG = 8 << 20
MOST_LAYERS = 500  # the kernel's overlayfs takes fewer
MOST_MANIFESTS = 1000  # of an index
LARGEST = 1 << 42  # bytes of one layer: beyond it a registry lies


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Blob
    layers: tuple[Blob, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`manifests`: by platform, as `linux/amd64`; of several for one platform the first. `names`: by the name that an
    OCI layout's annotations give."""

    manifests: dict[str, Blob]
    names: dict[str, Blob]
    others: tuple[Blob, ...] = ()  # without a platform


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def is_index(media_type: str, data: bytes) -> bool:
    """By its type, or by what it holds where nobody says one."""
    if media_type in (*INDEXES, *MANIFESTS):
        return media_type in INDEXES
    found = _object(data, MOST)
    return "manifests" in found and "layers" not in found


def parse_index(data: bytes) -> Index:
    listed = _object(data, MOST).get("manifests")
    if not isinstance(listed, list) or len(listed) > MOST_MANIFESTS:
        raise ValueError("it is no list of manifests")
    index = Index({}, {})
    others = []
    for entry in listed:
        blob = _blob(entry, MOST)
        platform = _platform(entry.get("platform"))
        annotations = entry.get("annotations")
        if isinstance(annotations, dict):
            for key in ("io.containerd.image.name", "org.opencontainers.image.ref.name"):
                name = annotations.get(key)
                if isinstance(name, str) and len(name) <= 500:
                    index.names.setdefault(name, blob)
        if platform is not None:
            index.manifests.setdefault(platform, blob)
        elif "platform" not in entry:
            others.append(blob)
    return Index(index.manifests, index.names, tuple(others))


def parse_manifest(data: bytes) -> Manifest:
    found = _object(data, MOST)
    if found.get("schemaVersion") != 2 or "fsLayers" in found:
        raise ValueError("it is of an old kind, whose layers have no sizes")
    layers = found.get("layers")
    if not isinstance(layers, list) or len(layers) > MOST_LAYERS:
        raise ValueError(f"it has no list of at most {MOST_LAYERS} layers")
    return Manifest(_blob(found.get("config"), MOST_CONFIG), tuple(_blob(layer, LARGEST) for layer in layers))


def parse_content(manifest: Manifest, config: bytes, named: Blob | None) -> ImageContent:
    """With what the config says: its platform, and what the layers are once they are unpacked."""
    platform, diff_ids = parse_config(config)
    if len(diff_ids) != len(manifest.layers):
        raise ValueError(f"its manifest has {len(manifest.layers)} layers, its config {len(diff_ids)}")
    return ImageContent(platform, manifest.config, manifest.layers, diff_ids, named)


def parse_config(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Its platform and the digests of its layers once they are unpacked."""
    found = _object(data, MOST_CONFIG)
    rootfs = found.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) > MOST_LAYERS:
        raise ValueError("its config does not say what its layers are")
    if not all(isinstance(d, str) and DIGEST.match(d) for d in diff_ids):
        raise ValueError("its config does not say what its layers are")
    platform = _platform({"os": found.get("os"), "architecture": found.get("architecture")})
    if platform is None:
        raise ValueError("its config does not say for which platform it is")
    return platform, tuple(diff_ids)


def _object(data: bytes, most: int) -> dict[str, Any]:
    found = parse_json(data, most)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def _blob(entry: object, most: int) -> Blob:
    if not isinstance(entry, dict):
        raise ValueError("an entry of it is no object")
    digest, size, kind = entry.get("digest"), entry.get("size"), entry.get("mediaType", "")
    if not isinstance(digest, str) or DIGEST.match(digest) is None:
        raise ValueError("an entry of it has no SHA-256")
    if type(size) is not int or not 0 <= size <= most:
        raise ValueError(f"`{digest}` has no size between 0 and {most}")
    return Blob(digest, size, kind if isinstance(kind, str) and len(kind) <= 200 else "")


def _platform(entry: object) -> str | None:
    """None for what is no Linux, as the attestations that builders add under `unknown`."""
    if not isinstance(entry, dict):
        return None
    system, machine = entry.get("os"), entry.get("architecture")
    if system != "linux" or not isinstance(machine, str) or not re.fullmatch(r"[a-z0-9_]{1,20}", machine):
        return None
    return f"{system}/{machine}" if machine != "unknown" else None


def render_manifest(content: ImageContent) -> bytes:
    """A manifest for an image that came without one, as out of `docker save`. The same content gives the same bytes."""
    body = {
        "schemaVersion": 2,
        "mediaType": MANIFESTS[0],
        "config": _entry(content.config, "application/vnd.oci.image.config.v1+json"),
        "layers": [_entry(layer, "application/vnd.oci.image.layer.v1.tar") for layer in content.layers],
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _tag_of(name: str) -> str:
    try:
        return parse_image(name).tag or name
    except ValueError:
        return name


def render_index(manifests: Mapping[str, Sequence[tuple[Blob, str]]]) -> bytes:
    """`index.json` of an OCI layout: by image name its manifests with their platforms."""
    body = {
        "schemaVersion": 2,
        "mediaType": INDEXES[0],
        "manifests": [
            {
                **_entry(blob, MANIFESTS[0]),
                "platform": dict(zip(("os", "architecture"), platform.split("/"), strict=True)),
                "annotations": {
                    "io.containerd.image.name": name,
                    "org.opencontainers.image.ref.name": _tag_of(name),
                },
            }
            for name, blobs in sorted(manifests.items())
            for blob, platform in blobs
        ],
    }
    return json.dumps(body, sort_keys=True, indent=1).encode()


def _entry(blob: Blob, kind: str) -> dict[str, Any]:
    return {"mediaType": blob.media_type or kind, "digest": blob.digest, "size": blob.size}
