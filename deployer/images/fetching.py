"""Whole images into an OCI layout on the controller: from a registry, or out of an archive; what is there stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, Protocol

from deployer.formats.oci import digest_of
from deployer.images.blobs import PIECE, BlobStore, wrong_digest
from deployer.images.registry import RegistryReader
from deployer.values.image_content import Blob, ImageContent

Follow = Callable[[int, int], object]  # bytes that are there, and all


class ImageSource(Protocol):
    """Where blobs can be read: a store, an archive."""

    def open(self, blob: Blob) -> BinaryIO: ...


def blobs_of(content: ImageContent) -> tuple[Blob, ...]:
    """Config and layers, each once; not its manifest."""
    return tuple({blob.digest: blob for blob in (content.config, *content.layers)}.values())


def fetch_image(
    store: BlobStore, reader: RegistryReader, image: str, content: ImageContent, follow: Follow
) -> BlobStore:
    """Its blobs and its manifest; each is checked while it arrives. OperationError."""
    if content.manifest is not None and not store.has(content.manifest):
        data = reader.manifest(image, content.manifest.digest)
        if digest_of(data) != content.manifest.digest:
            raise wrong_digest(content.manifest)
        store.put(data)
    _all(store, content, lambda blob: partial(reader.blob, image, blob), follow)
    return store


def copy_image(store: BlobStore, source: ImageSource, content: ImageContent, follow: Follow) -> BlobStore:
    """The same out of an archive or another store. One whose manifest is there only by name gets none."""
    if content.manifest is not None:
        store.fetch(content.manifest, partial(_opened, source, content.manifest))
    _all(store, content, lambda blob: partial(_opened, source, blob), follow)
    return store


def _all(store: BlobStore, content: ImageContent, opener: Callable[[Blob], object], follow: Follow) -> None:
    blobs = blobs_of(content)
    total, done = sum(blob.size for blob in blobs), 0
    for blob in blobs:
        before = done
        store.fetch(blob, opener(blob), lambda have, before=before: follow(before + have, total))  # type: ignore[misc,arg-type]
        done += blob.size
        follow(done, total)


@contextmanager
def _opened(source: ImageSource, blob: Blob, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
    with source.open(blob) as file:
        file.seek(start)
        yield start, iter(lambda: file.read(PIECE), b"")
