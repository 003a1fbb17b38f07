"""Bundles as values: a whole deployment on a disk, what of it is there and who signed it. Knows no file and no host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Literal

from deployer.dataclass import dataclass
from deployer.values.image_content import Blob, ResolvedImage
from deployer.values.weights import Listing, Manifest

INDEX, SIGNATURE = "bundle.json", "bundle.json.sig"
BLOBS = "blobs/sha256"
Trust = Literal["trusted", "unknown", "unsigned"]


@dataclass(frozen=True, slots=True)
class Content:
    """One file of a bundle, by its path below the bundle's folder."""

    path: str
    size: int
    sha256: str

    @classmethod
    def blob(cls, sha256: str, size: int) -> Content:
        return cls(f"{BLOBS}/{sha256}", size, sha256)


@dataclass(frozen=True, slots=True)
class Parent:
    """The bundle that a delta was made from; `digest`: SHA-256 of its index."""

    sequence: int
    digest: str


@dataclass(frozen=True, slots=True)
class BundledSpec:
    """What the command line named, and the texts it found there: by path the SHA-256 of each. `variables` are those
    that the spec declares."""

    files: tuple[str, ...]
    inventories: tuple[str, ...]
    variables: Mapping[str, str]
    home: str
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle's index says. `contents` are in it; `elsewhere` is what its parent has; `inside` what the hosts had
    when it was made. `listings` by `Model.reference`; `models`: the files that backends are given of them.
    `images` by their names in the spec, with the platforms that are in it."""

    project: str
    id: str | None
    sequence: int
    made: str
    by: str
    deployer: str
    spec: BundledSpec
    listings: Mapping[str, Listing] = field(default_factory=dict)
    models: tuple[Manifest, ...] = ()
    images: Mapping[str, ResolvedImage] = field(default_factory=dict)
    contents: tuple[Content, ...] = ()
    elsewhere: tuple[Content, ...] = ()
    inside: tuple[Content, ...] = ()
    parent: Parent | None = None

    @property
    def size(self) -> int:
        return total(self.contents)

    @property
    def all_contents(self) -> tuple[Content, ...]:
        return (*self.contents, *self.elsewhere, *self.inside)


def blobs_of(image: ResolvedImage) -> tuple[Blob, ...]:
    """All that it is made of: for each platform manifest, config and layers."""
    found = {}
    for _, content in sorted(image.platforms.items()):
        manifest = (content.manifest,) if content.manifest is not None else ()
        found.update({blob.digest: blob for blob in (*manifest, content.config, *content.layers)})
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Signer:
    """`name`: the principal of allowed_signers, where it is known. `key`: its kind and fingerprint."""

    trust: Trust
    name: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The newest bundle of a project that was used here; `parent`: digest of the one that it was made since."""

    sequence: int
    digest: str
    parent: str = ""


def total(contents: Iterable[Content]) -> int:
    return sum(content.size for content in contents)
