"""deploy.lock: text to value and back. Machines write it, people read its diffs."""

from __future__ import annotations

import json

from deployer.errors import Diagnostic, SpecError
from deployer.values.codec import from_data, parse_json, to_data
from deployer.values.image_content import ResolvedImage
from deployer.values.images import DIGEST
from deployer.values.lock import Lock
from deployer.values.weights import COMMIT

FORMAT = 1
MOST = 64 << 20  # bytes


def lock_path(spec_file: str) -> str:
    """Beside the spec: `deploy.lock` of `deploy.yaml`."""
    stem = spec_file.rpartition(".")[0] if spec_file.endswith((".yaml", ".yml")) else spec_file
    return f"{stem}.lock"


def parse_lock(text: bytes, path: str) -> Lock:
    try:
        data = parse_json(text, MOST)
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise ValueError("it was not written by this deployer's `lock`")
        lock = from_data(Lock, data)
        for name, entry in lock.models.items():
            if COMMIT.match(entry.listing.commit) is None:
                raise ValueError(f"models.{name[:60]}: its commit is none")
        for name, image in lock.images.items():
            _check_image(name, image)
    except ValueError as error:
        hint = "take it from version control, or delete it and run `deployer lock`"
        raise SpecError(Diagnostic("bad-lock", f"`{path}` cannot be read: {error}", hint=hint)) from None
    return lock


def _check_image(name: str, image: ResolvedImage) -> None:
    """ValueError for digests that are none, and for an entry under another image's name."""
    if image.reference != name or not image.pinned:
        raise ValueError(f"images.{name[:60]}: it is the entry of another image")
    contents = tuple(image.platforms.values())
    blobs = [blob.digest for content in contents for blob in (content.config, *content.layers)]
    for digest in (*image.ids, *blobs, *(d for content in contents for d in content.diff_ids)):
        if DIGEST.match(digest) is None:
            raise ValueError(f"images.{name[:60]}: `{digest[:80]}` is no digest")


def render_lock(lock: Lock) -> str:
    return json.dumps({"format": FORMAT, **to_data(lock)}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
