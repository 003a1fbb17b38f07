"""SHA-256 of files of which a hub tells none: read on the controller and hashed, for deploy.lock."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

from deployer.dataclass import replace
from deployer.formats.text import one_line
from deployer.values.weights import Listing, WeightFile
from deployer.weights.access import Access, failure
from deployer.weights.rest import ask

AT_ONCE = 8
LARGEST = 64 << 20  # bytes: what git itself holds of a model is smaller


def with_hashes(listing: Listing, access: Access | None) -> Listing:
    """OperationError where a file cannot be read, or is not what the hub said of it."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        files = tuple(pool.map(lambda file: file if file.sha256 else _hashed(listing, file, access), listing.files))
    return replace(listing, files=files)


def _hashed(listing: Listing, file: WeightFile, access: Access | None) -> WeightFile:
    name = f"`{one_line(file.path, 100)}` of `{listing.source}`"
    if file.size > LARGEST:
        hint = "give `revision: sha256:HEX`" if listing.source.startswith("https:") else "leave it out with `exclude`"
        raise failure("no-hash", f"nobody says the hash of {name}, and it is too large to be read here", hint)
    answer = ask(file.url, access, most=LARGEST)
    if answer.status != 200:
        has_token = access is not None and access.token is not None
        hint = "see that the token may read it" if has_token else "set the hub's `token`, if the model is not public"
        raise failure("fetch-denied", f"{name} cannot be read: status {answer.status}", hint)
    git = hashlib.sha1(b"blob %d\0" % len(answer.body) + answer.body, usedforsecurity=False).hexdigest()
    if len(answer.body) != file.size or (file.git is not None and git != file.git):
        raise failure("wrong-hash", f"{name} is not what the hub says of it", "lock again; if it stays, try a mirror")
    return replace(file, sha256=hashlib.sha256(answer.body).hexdigest())
