"""Images in registries (OCI distribution API): what a name stands for, and blobs piece by piece. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType

from deployer.formats.oci import (
    ACCEPT,
    MOST,
    MOST_CONFIG,
    Manifest,
    digest_of,
    is_index,
    parse_content,
    parse_index,
    parse_manifest,
)
from deployer.formats.text import one_line
from deployer.images.access import Access, failure
from deployer.images.wire import Wire
from deployer.values.image_content import Blob, ImageContent, ResolvedImage
from deployer.values.images import ImageReference, parse_image

SUPPORTED = ("linux/amd64", "linux/arm64")  # on which hosts run


class RegistryReader:
    """Reads one registry; close it. `prefix`: before every repository, where the registry mirrors another one."""

    def __init__(self, access: Access, prefix: str = "") -> None:
        self.registry = access.registry
        self._prefix = f"{prefix.strip('/')}/" if prefix else ""
        self._wire = Wire(access)

    def resolve(self, image: str) -> ResolvedImage:
        """What the name stands for just now, for each platform on which hosts run. OperationError."""
        reference = parse_image(image)
        try:
            return self._resolved(image, reference)
        except ValueError as error:
            message = f"what registry `{self.registry}` says of `{image}` is no image"
            hint = "name an image that `docker pull` takes, or another registry"
            raise failure("image-unreadable", message, hint, (one_line(str(error)),)) from None

    def blob(self, image: str, blob: Blob, start: int = 0) -> AbstractContextManager[tuple[int, Iterator[bytes]]]:
        """Where its pieces begin, and the pieces; see `Wire.stream`. Whether they are the blob is for others to see."""
        repository = self._repository(parse_image(image))
        kind = "manifests" if "manifest" in blob.media_type or "index" in blob.media_type else "blobs"
        return self._wire.stream(f"/v2/{repository}/{kind}/{blob.digest}", repository, start)

    def manifest(self, image: str, digest: str) -> bytes:
        """The very bytes."""
        data, _, _ = self._manifest(self._repository(parse_image(image)), digest)
        return data

    def close(self) -> None:
        self._wire.close()

    def __enter__(self) -> RegistryReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repository(self, reference: ImageReference) -> str:
        return self._prefix + reference.repository

    def _resolved(self, image: str, reference: ImageReference) -> ResolvedImage:
        repository = self._repository(reference)
        data, kind, named = self._manifest(repository, reference.digest or reference.tag or "latest")
        if not is_index(kind, data):
            content = self._content(repository, parse_manifest(data), Blob(named, len(data), kind))
            return ResolvedImage(image, named, {content.platform: content})
        index = parse_index(data)
        platforms = {}
        for platform in SUPPORTED:
            blob = index.manifests.get(platform)
            if blob is not None:
                inner, inner_kind, _ = self._manifest(repository, blob.digest)
                named_by = Blob(blob.digest, len(inner), inner_kind)
                platforms[platform] = self._content(repository, parse_manifest(inner), named_by)
        if not platforms:
            found = ", ".join(sorted(index.manifests)) or "none that runs on Linux"
            message = f"image `{image}` exists for no processor that hosts have"
            raise failure("image-architecture", message, "name another image", (found[:300],))
        return ResolvedImage(image, named, platforms)

    def _manifest(self, repository: str, reference: str) -> tuple[bytes, str, str]:
        """Its bytes, its type and its digest, which is the one that was asked for."""
        data, headers = self._wire.whole(f"/v2/{repository}/manifests/{reference}", repository, ACCEPT, MOST)
        digest = digest_of(data)
        if reference.startswith("sha256:") and digest != reference:
            message = f"registry `{self.registry}` gives another manifest than `{reference}` under that digest"
            raise failure("wrong-digest", message, "do not use this registry until somebody knows why")
        return data, headers.get("content-type", "").partition(";")[0].strip(), digest

    def _content(self, repository: str, manifest: Manifest, named: Blob) -> ImageContent:
        config = manifest.config
        data, _ = self._wire.whole(f"/v2/{repository}/blobs/{config.digest}", repository, "*/*", MOST_CONFIG)
        if digest_of(data) != config.digest or len(data) != config.size:
            message = f"registry `{self.registry}` gives another config than `{config.digest}` under that digest"
            raise failure("wrong-digest", message, "do not use this registry until somebody knows why")
        return parse_content(manifest, data, named)
