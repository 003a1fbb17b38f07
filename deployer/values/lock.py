"""deploy.lock as a value: which commit of each model, with the size and SHA-256 of every file; what each image is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.values.image_content import ResolvedImage
from deployer.values.weights import Listing


@dataclass(frozen=True, slots=True)
class LockedModel:
    """`reference`: what the spec asked for when it was locked; an entry of another one says nothing any more. Files are
    without their URLs: an endpoint may change."""

    reference: str
    listing: Listing


@dataclass(frozen=True, slots=True)
class Lock:
    """`models` by their names in the spec, `images` by theirs."""

    models: Mapping[str, LockedModel] = field(default_factory=dict)
    images: Mapping[str, ResolvedImage] = field(default_factory=dict)

    def listings(self) -> dict[str, Listing]:
        """By reference."""
        return {entry.reference: entry.listing for entry in self.models.values()}


@dataclass(frozen=True, slots=True)
class LockedNow:
    """What `lock` wrote. `moved`: by model the entry before (None: there was none) and the one now; `images` so too."""

    path: str
    lock: Lock
    moved: Mapping[str, tuple[LockedModel | None, LockedModel]]
    images: Mapping[str, tuple[ResolvedImage | None, ResolvedImage]] = field(default_factory=dict)
    problems: tuple[Diagnostic, ...] = ()
