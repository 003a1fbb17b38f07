"""Brings an image to a host from the controller: only the layers that the host's Docker lacks, over the connection that
is there. Needs no registry on the host's side and leaves nothing there but the image.

What a broken connection costs is one batch of layers: those before it are kept, and the next apply goes on after them.
With containerd's image store there are no batches: all of an image goes over, at once.
"""

from __future__ import annotations

import time

from deployer.docker.layers import chains_there, keeps_images_in_containerd
from deployer.docker.loadtar import Load, WholeLoad, loads, tag_of
from deployer.engine.context import Site, failed
from deployer.engine.image_names import image_there, name_image
from deployer.engine.image_parts import forget_parts
from deployer.engine.image_sending import Follower, Sending
from deployer.engine.mirrors import pulled_as
from deployer.engine.registries import Registries
from deployer.errors import OperationError
from deployer.images.blobs import BlobStore
from deployer.images.fetching import ImageSource, fetch_image
from deployer.values.image_content import Blob, ImageContent
from deployer.values.images import parse_image
from deployer.values.transfers import LoadImage

MOST_CONFIG = 8 << 20
UNUSED = 30 * 86_400.0  # seconds after which the controller keeps a blob of an image no longer


def load_image(operation: LoadImage, site: Site) -> str:
    """The image is there afterwards, under its name; what to say of it."""
    image, content = operation.image, operation.content
    there = image_there(site, image, content.ids)
    if there is not None:
        name_image(site, there, image)
        forget_parts(site, content.config.digest)
        return "was there already"
    missing = content.missing(chains_there(site.transport))
    try:
        source = _send(operation, site, missing)
    except OperationError as error:
        if not _is_lost(error) or len(missing) == len(content.layers):
            raise
        missing = content.layers  # whatever was there of it, is there no more
        source = _send(operation, site, missing)
    forget_parts(site, content.config.digest)
    if isinstance(source, BlobStore):
        source.prune(time.time() - UNUSED)
    if image_there(site, image, content.ids) is None:
        raise failed("load-failed", f"Docker loaded `{image}`, and has no such image", "apply again")
    layers = f"{len(missing)} of {len(content.layers)} layers"
    return f"{layers} were missing"


def _send(operation: LoadImage, site: Site, missing: tuple[Blob, ...]) -> ImageSource:
    content, manifest = operation.content, _manifest_for(operation, site)
    source = _source(operation, site, ImageContent(content.platform, content.config, missing, (), manifest))
    total = sum(blob.size for blob in missing)
    sent = Sending(site, source, total, Follower(site, total, "over the connection to the host"))
    for load in _loads(operation, source, missing, manifest):
        sent.send(load)
    return source


def _is_lost(error: OperationError) -> bool:
    """A layer that was there when the host was looked at, and that Docker wanted from the tar."""
    found = error.diagnostic
    return found.code == "load-failed" and any("no such file or directory" in line for line in found.evidence)


def _manifest_for(operation: LoadImage, site: Site) -> Blob | None:
    """What the host's Docker will know the image by; None where that is its config."""
    if not keeps_images_in_containerd(site.transport):
        return None
    if operation.content.manifest is None:
        message = f"`{operation.archive}` has no manifest of `{operation.image}`, and Docker on this host wants one"
        hint = "make the archive anew with `docker save` of Docker 25 or newer, then plan again"
        raise failed("image-without-manifest", message, hint)
    return operation.content.manifest


def _loads(
    operation: LoadImage, source: ImageSource, missing: tuple[Blob, ...], manifest: Blob | None
) -> tuple[Load | WholeLoad, ...]:
    content, name = operation.content, tag_of(parse_image(operation.image))
    with source.open(content.config) as file:
        config = file.read(MOST_CONFIG)
    if manifest is None:
        return loads(content, config, missing, name)
    with source.open(manifest) as file:
        return (WholeLoad(content, file.read(manifest.size), config, name),)


def _source(operation: LoadImage, site: Site, wanted: ImageContent) -> ImageSource:
    """Where what is wanted can be read on the controller, every blob of it checked."""
    known = site.context.images
    if known is None:
        raise failed("load-failed", "this run knows no registries", "apply again")
    content = operation.content
    if operation.archive:
        archive = known.archive(operation.archive)
        found = archive.image(operation.image).platforms.get(content.platform)
        if found is None or found.config.digest != content.config.digest:
            message = f"`{operation.archive}` holds another image than when the plan was made"
            raise failed("image-moved", message, "plan again")
        archive.verify(wanted, Follower(site, wanted.size, "checking the archive"))
        return archive
    return _fetched(known, operation, site, wanted)


def _fetched(known: Registries, operation: LoadImage, site: Site, wanted: ImageContent) -> ImageSource:
    follow = Follower(site, wanted.size, "from its registry to this machine")
    with known.reader(operation.image) as reader:
        store = known.blobs(site.watch.pause)
        image = pulled_as(operation.image, known.known)
        return fetch_image(store, reader, image, wanted, lambda done, total: follow(done))
