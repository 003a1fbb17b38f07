"""The index of a bundle: text to value and back. Whoever hands a bundle over may be hostile, so all of it is judged."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping

from deployer.errors import Diagnostic, OperationError
from deployer.formats.hub_names import refused_names
from deployer.formats.oci import DIGEST
from deployer.values.bundle import BLOBS, Bundle, blobs_of
from deployer.values.codec import from_data, parse_json, to_data
from deployer.values.image_content import ResolvedImage
from deployer.values.weights import COMMIT, Listing, Manifest, folder_of

FORMAT = 1
MOST = 64 << 20  # bytes of an index
MOST_CONTENTS = 100_000
LARGEST = 1 << 50  # bytes of one file
NEWEST = 10**15  # of sequence numbers
HEX = re.compile(r"[0-9a-f]{64}\Z")
PROJECT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
WHEEL = re.compile(r"wheels/[A-Za-z0-9][A-Za-z0-9._+-]{0,80}\.whl\Z")
LAYOUT = ("index.json", "oci-layout")  # of OCI images, whose blobs are the bundle's own


def render_index(bundle: Bundle) -> bytes:
    text = json.dumps({"format": FORMAT, **to_data(bundle)}, indent=1, sort_keys=True, ensure_ascii=True)
    return text.encode() + b"\n"


def digest_of_index(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def parse_index(text: bytes, place: str) -> Bundle:
    """OperationError `bad-bundle` for what is no index, or names what no bundle may."""
    try:
        data = parse_json(text, MOST)
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise ValueError("it was not written by this deployer's `bundle create`")
        bundle = from_data(Bundle, data)
        _check(bundle)
    except ValueError as error:
        raise bad_bundle(place, str(error)) from None
    return bundle


def bad_bundle(place: str, why: str) -> OperationError:
    hint = "copy it again from where it was made"
    return OperationError(Diagnostic("bad-bundle", f"`{place}` is no bundle that can be used: {why}", hint=hint))


def _check(bundle: Bundle) -> None:
    if PROJECT.match(bundle.project) is None or not 0 <= bundle.sequence < NEWEST:
        raise ValueError("its project or its sequence number is none")
    if not all(text.isprintable() for text in (bundle.made, bundle.by, bundle.deployer, bundle.id or "")):
        raise ValueError("it says with control characters who made it")
    _check_contents(bundle)
    sizes = {content.sha256: content.size for content in bundle.all_contents if content.path.startswith(BLOBS)}
    here = {content.sha256 for content in bundle.contents}
    if not set(bundle.spec.sources.values()) <= here or not bundle.spec.files:
        raise ValueError("its spec is not in it")
    for image in bundle.images.values():
        _check_image(image, sizes)
    for manifest in bundle.models:
        _check_files(manifest)
        if not {file.sha256 for file in manifest.files} <= set(sizes):
            raise ValueError("files of a model are nowhere")
    for listing in bundle.listings.values():
        _check_files(listing)


def _check_contents(bundle: Bundle) -> None:
    if len(bundle.all_contents) > MOST_CONTENTS:
        raise ValueError(f"it has more than {MOST_CONTENTS} files")
    for content in bundle.contents:
        is_blob = content.path == f"{BLOBS}/{content.sha256}"
        if not is_blob and content.path not in LAYOUT and WHEEL.match(content.path) is None:
            raise ValueError(f"it has a file of a name that no bundle has: {content.path[:80]!r}")
    if any(content.path != f"{BLOBS}/{content.sha256}" for content in (*bundle.elsewhere, *bundle.inside)):
        raise ValueError("it needs a file of a name that no bundle has")
    if any(HEX.match(content.sha256) is None or not 0 <= content.size < LARGEST for content in bundle.all_contents):
        raise ValueError("a file of it has no hash, or no size")
    if not _is_rising(content.path for content in bundle.contents):
        raise ValueError("its files are not in order, or one is there twice")


def _is_rising(paths: Iterable[str]) -> bool:
    before = ""
    for path in paths:
        if path <= before:
            return False
        before = path
    return True


def _check_image(image: ResolvedImage, sizes: Mapping[str, int]) -> None:
    if image.archive or not image.platforms or any(one.manifest is None for one in image.platforms.values()):
        raise ValueError("an image of it says where it is to be fetched from, or has no manifest")
    for blob in blobs_of(image):
        if DIGEST.match(blob.digest) is None or sizes.get(blob.hex) != blob.size:
            raise ValueError("a part of an image is nowhere")
    digests = [digest for one in image.platforms.values() for digest in one.diff_ids]
    if any(DIGEST.match(digest) is None for digest in (*digests, *([image.digest] if image.digest else []))):
        raise ValueError("an image of it has no digest")


def _check_files(listed: Manifest | Listing) -> None:
    """As of a manifest that is read from a host: nothing in it may lead out of its folder."""
    source = listed.source
    is_safe = COMMIT.match(listed.commit) is not None and source.isprintable() and "://" in source
    is_safe = is_safe and ".." not in folder_of(source)
    hashes = [word for file in listed.files for word in (file.sha256, file.git) if word is not None]
    if not is_safe or not all(word.isascii() and word.isalnum() for word in hashes):
        raise ValueError("a model of it has no commit, no source or no hash")
    if isinstance(listed, Manifest) and next(refused_names(file.path for file in listed.files), None) is not None:
        raise ValueError(f"a file of {source[:80]} has a name that cannot be used")
    if any(file.url or file.others or not 0 <= file.size < LARGEST for file in listed.files):
        raise ValueError(f"a file of {source[:80]} says where it is to be fetched from, or has no size")
