"""Images of bundles: brought in where one is made, and found again where it is used, which asks no registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from deployer.dataclass import dataclass, replace
from deployer.engine.bundle_work import Work
from deployer.engine.mirrors import pulled_as
from deployer.engine.registries import Registries
from deployer.errors import Diagnostic, OperationError
from deployer.formats.oci import render_manifest
from deployer.images.blobs import BlobStore, Follow, Opened, quiet
from deployer.images.fetching import copy_image, fetch_image
from deployer.values.bundle import Content
from deployer.values.image_content import PLATFORM_OF, Blob, ImageContent, ResolvedImage
from deployer.values.resolved import Unresolved
from deployer.weights.bundles.using import InUse

LAYOUT = ("index.json", "oci-layout")
Wanted = Mapping[str, frozenset[str]]  # by name of an image, the kinds of processor that hosts have


@dataclass(frozen=True, slots=True)
class Gathering:
    """Brings images into the folder where a bundle is made, which is an OCI layout of those that are there whole."""

    work: Work
    registries: Registries

    def images(self, wanted: Wanted, known: Mapping[str, ResolvedImage | Unresolved]) -> dict[str, ResolvedImage]:
        """As they are written down: pinned, and with no place that they came from. OperationError."""
        found = {name: self._image(name, archs, known[name]) for name, archs in sorted(wanted.items())}
        whole = {name: [*image.platforms.values()] for name, image in found.items() if self._is_here(image)}
        if whole:
            self._store.write_index(whole)
            for name in LAYOUT:
                self.work.written(name)
        return found

    @property
    def _store(self) -> BlobStore:
        return BlobStore(self.work.target.making)

    def _is_here(self, image: ResolvedImage) -> bool:
        return all(self._store.has(layer) for content in image.platforms.values() for layer in content.layers)

    def _image(self, name: str, archs: frozenset[str], known: ResolvedImage | Unresolved) -> ResolvedImage:
        if isinstance(known, Unresolved):
            message = f"image `{name}` cannot be brought here: {known.reason}"
            raise OperationError(Diagnostic("image-unresolved", message, hint=known.hint))
        platforms = {}
        for arch in sorted(archs):
            content = known.on(arch)
            if content is None:
                message = f"image `{name}` does not exist for {arch}"
                hint = "name an image for the processors of the hosts"
                raise OperationError(Diagnostic("image-architecture", message, hint=hint))
            platforms[PLATFORM_OF.get(arch, f"linux/{arch}")] = self._content(name, known, content)
        return ResolvedImage(name, known.digest, platforms, pinned=True)

    def _content(self, name: str, known: ResolvedImage, content: ImageContent) -> ImageContent:
        parent = self.work.in_parent
        wanted = replace(content, layers=tuple(layer for layer in content.layers if layer.hex not in parent))
        with self.work.step(f"fetch image {name}", wanted.size) as follow:
            if known.archive:
                copy_image(self._store, self.registries.archive(known.archive), wanted, lambda done, _: follow(done))
            else:
                with closing(self.registries.reader(name)) as reader:
                    asked = pulled_as(name, self.registries.known)
                    fetch_image(self._store, reader, asked, wanted, lambda done, _: follow(done))
        manifest = content.manifest or self._store.put(render_manifest(content))
        for blob in (manifest, content.config, *content.layers):
            self.work.note(Content.blob(blob.hex, blob.size), is_known=blob.hex in parent)
        return replace(content, manifest=manifest)


def _nowhere(sha256: str) -> Path | None:
    return None


@dataclass(frozen=True, slots=True)
class BundledBlobs(BlobStore):
    """The blobs of a bundle, where they are; nothing is fetched."""

    find: Callable[[str], Path | None] = _nowhere

    def path(self, blob: Blob) -> Path:
        found = self.find(blob.hex)
        return found if found is not None else self.folder / blob.hex

    def fetch(self, blob: Blob, opened: Opened, follow: Follow = quiet) -> int:
        if not self.has(blob):
            message = f"`{blob.digest}` of an image is neither in the bundle nor in what was loaded before"
            hint = "load the bundle that this one was made since"
            raise OperationError(Diagnostic("bundle-lacks", message, hint=hint))
        return 0


@dataclass(frozen=True, slots=True)
class BundledRegistries(Registries):
    """Has the images of one bundle, and no others."""

    used: InUse | None = None

    @classmethod
    def instead_of(cls, usual: Registries, used: InUse) -> BundledRegistries:
        return cls(usual.known, usual.store, usual.environment, usual.folder, True, used)

    def looked_up(self, image: str, archive: str = "") -> ResolvedImage | Unresolved:
        assert self.used is not None, "made by `instead_of`"
        lacking = Unresolved(f"it is not in bundle {self.used.bundle.sequence}", "make a bundle of this very spec")
        return self.used.bundle.images.get(image, lacking)

    def blobs(self, pause: Callable[[float], object]) -> BlobStore:
        assert self.used is not None, "made by `instead_of`"
        return BundledBlobs(Path("/nonexistent"), find=self.used.find)
