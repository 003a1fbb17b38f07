"""The tar that `docker load` reads, for an image of which the engine has the lower layers already. Sends nothing.

An engine with a graph driver looks a layer up by what it is unpacked and all below it, before it opens the file that
should hold it (moby: image/tarexport/load.go); so layers that are there are left out. With containerd's image store it
wants every one in the same tar, and knows the image by the digest of its manifest: that store is given an OCI layout,
whose manifest is the registry's own (containerd: core/images/archive/importer.go).
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any

from deployer.dataclass import dataclass
from deployer.formats.oci import LAYOUT, digest_of, render_index
from deployer.values.image_content import Blob, ImageContent
from deployer.values.images import ImageReference

BLOBS = "blobs/sha256/"
LABEL_PART = "deployer.part-of"  # of what is loaded before the image itself: the digest of its config
BATCH = 64 << 20  # bytes that are loaded at once, at least: what a broken connection costs is a batch


@dataclass(frozen=True, slots=True)
class Load:
    """One tar: the config of an image, and some of its layers."""

    config: bytes
    layers: tuple[Blob, ...]  # all of the image's, from the lowest
    sent: tuple[Blob, ...]
    name: str | None = None

    @property
    def id(self) -> str:
        """Of the image that comes of it."""
        return digest_of(self.config)

    @property
    def size(self) -> int:
        return _size(self.parts())

    def parts(self) -> Iterator[bytes | Blob]:
        """Bytes, and blobs to be filled up with zeros to whole blocks."""
        config_name = BLOBS + self.id.partition(":")[2]
        entry = {
            "Config": config_name,
            "RepoTags": [self.name] if self.name else None,
            "Layers": [BLOBS + layer.hex for layer in self.layers],
        }
        yield from _file(config_name, self.config)
        for layer in self.sent:
            yield _header(BLOBS + layer.hex, layer.size)
            yield layer
        yield from _file("manifest.json", json.dumps([entry]).encode())
        yield bytes(1024)


@dataclass(frozen=True, slots=True)
class WholeLoad:
    """One tar with all of an image, as an OCI layout."""

    content: ImageContent
    manifest: bytes
    config: bytes
    name: str

    @property
    def size(self) -> int:
        return _size(self.parts())

    def parts(self) -> Iterator[bytes | Blob]:
        """As those of `Load`."""
        named = self.content.manifest or Blob(digest_of(self.manifest), len(self.manifest))
        yield from _file("oci-layout", LAYOUT)
        yield from _file("index.json", render_index({self.name: [(named, self.content.platform)]}))
        yield from _file(BLOBS + named.hex, self.manifest)
        yield from _file(BLOBS + self.content.config.hex, self.config)
        for layer in _once(self.content.layers):
            yield _header(BLOBS + layer.hex, layer.size)
            yield layer
        yield bytes(1024)


def loads(content: ImageContent, config: bytes, missing: tuple[Blob, ...], name: str | None) -> tuple[Load, ...]:
    """What to load, in this order: batches of the missing layers, each as an image without a name, then the image."""
    found, batch, first = [], [], len(content.layers) - len(missing)
    for index, layer in enumerate(missing, first + 1):
        batch.append(layer)
        if sum(blob.size for blob in batch) >= BATCH and index < len(content.layers):
            found.append(Load(_part_of(content, index), content.layers[:index], _once(batch)))
            batch = []
    return (*found, Load(config, content.layers, _once(batch), name))


def padding(blob: Blob) -> bytes:
    return bytes(_padded(blob.size) - blob.size)


def tag_of(reference: ImageReference) -> str:
    """The name by which it is loaded. An engine takes no digest for one: a tag says which it was."""
    tag = reference.tag or (reference.digest.replace(":", "-")[:19] if reference.digest else "latest")
    return f"{reference.registry}/{reference.repository}:{tag}"


def _part_of(content: ImageContent, count: int) -> bytes:
    """The config of an image that has only the lowest layers. The same layers give the same."""
    system, _, machine = content.platform.partition("/")
    body: dict[str, Any] = {
        "architecture": machine,
        "os": system,
        "config": {"Labels": {LABEL_PART: content.config.digest}},
        "rootfs": {"type": "layers", "diff_ids": list(content.diff_ids[:count])},
    }
    return json.dumps(body, sort_keys=True).encode()


def _size(parts: Iterator[bytes | Blob]) -> int:
    """Of the tar."""
    return sum(len(part) if isinstance(part, bytes) else _padded(part.size) for part in parts)


def _once(blobs: Sequence[Blob]) -> tuple[Blob, ...]:
    return tuple({blob.digest: blob for blob in blobs}.values())


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.PAX_FORMAT)


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data + bytes(_padded(len(data)) - len(data))
