"""What an image is made of, by digest: for each platform its manifest, its config and its layers. Knows no registry."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field

from deployer.dataclass import dataclass

PLATFORM_OF = {"x86_64": "linux/amd64", "amd64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64"}
UNPACKED = 2.0  # bytes on a disk for each byte of a compressed layer, about: registries know only the latter


@dataclass(frozen=True, slots=True)
class Blob:
    """`digest`: `sha256:` and 64 hex digits, of the `size` bytes as they are stored."""

    digest: str
    size: int
    media_type: str = ""

    @property
    def hex(self) -> str:
        return self.digest.partition(":")[2]


@dataclass(frozen=True, slots=True)
class ImageContent:
    """One platform's image. `manifest`: None where there is none, as in archives of `docker save`. `diff_ids`: digests
    of the layers once they are unpacked, by which Docker knows them."""

    platform: str
    config: Blob
    layers: tuple[Blob, ...]
    diff_ids: tuple[str, ...]
    manifest: Blob | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """By which a Docker may know the image: its config's digest, with the containerd store its manifest's."""
        return (self.config.digest, *((self.manifest.digest,) if self.manifest is not None else ()))

    @property
    def size(self) -> int:
        """Bytes to fetch where nothing of it is there."""
        return self.config.size + sum({blob.digest: blob.size for blob in self.layers}.values())

    def missing(self, chains: frozenset[str] | set[str]) -> tuple[Blob, ...]:
        """The layers that a Docker lacks which has those `chains`: all above the first one that is not there."""
        there = chain_ids(self.diff_ids)
        count = next((i for i, chain in enumerate(there) if chain not in chains), len(there))
        return self.layers[count:]


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """What a reference stands for. `digest`: of what the registry has under that name, a list of manifests maybe.
    `pinned`: deploy.lock says so. `archive`: the file on the controller that it comes from, as the spec names it.
    `seen`: ids of it on hosts, where no registry could be asked."""

    reference: str
    digest: str | None
    platforms: Mapping[str, ImageContent] = field(default_factory=dict)
    pinned: bool = False
    archive: str = ""
    seen: tuple[str, ...] = ()

    def on(self, arch: str) -> ImageContent | None:
        """The image for a host; `arch` as of its facts."""
        return self.platforms.get(PLATFORM_OF.get(arch, f"linux/{arch}"))

    @property
    def ids(self) -> frozenset[str]:
        """All by which a Docker may know it."""
        known = {id_ for content in self.platforms.values() for id_ in content.ids}
        return frozenset(known | set(self.seen) | ({self.digest} if self.digest else set()))


def chain_ids(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The name of each layer together with all below it (OCI image specification, "Layer ChainID")."""
    found: list[str] = []
    for diff_id in diff_ids:
        whole = f"{found[-1]} {diff_id}" if found else ""
        found.append("sha256:" + hashlib.sha256(whole.encode()).hexdigest() if whole else diff_id)
    return tuple(found)
