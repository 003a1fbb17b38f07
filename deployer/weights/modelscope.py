"""Models of ModelScope, by its REST API (modelscope.hub.api: `api/v1/models/ID/repo/files`, `.../repo`)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

from deployer.dataclass import replace
from deployer.formats.text import one_line
from deployer.values.canonical import digest
from deployer.values.weights import COMMIT, Listing, WeightFile
from deployer.weights.access import MOST_FILES, Access, checked_size, failure
from deployer.weights.rest import ask, parse_answer

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
BRANCH = "master"


def list_modelscope(source: str, revision: str | None, access: Access) -> Listing:
    """The commit of a branch is not told; the digest of all hashes stands for it, so that a moved branch shows."""
    name = source.removeprefix("modelscope://")
    if NAME.match(name) is None or ".." in name or "--" in name:
        hint = "write it as `modelscope://OWNER/NAME`"
        raise failure("bad-source", f"`{source}` names no model of ModelScope", hint)
    wanted = revision or BRANCH
    base = f"{access.endpoint}/api/v1/models/{quote(name)}/repo"
    query = urlencode({"Revision": wanted, "Recursive": "True"})
    answer = ask(f"{base}/files?{query}", access)
    if answer.status in (401, 403, 404):
        hint = "correct `source` and `revision`; of a private model set `hubs: {modelscope: {token: ...}}`"
        raise failure("unknown-model-source", f"`{source}` at revision `{wanted}` is not at {access.endpoint}", hint)
    files = _files(parse_answer(answer, source), source)
    is_commit = COMMIT.match(wanted) is not None
    commit = wanted if is_commit else digest(sorted([f.path, f.sha256] for f in files))[:40]
    return with_modelscope_urls(Listing(source, wanted, commit, files, pinned=is_commit), access)


def with_modelscope_urls(listing: Listing, access: Access) -> Listing:
    name, revision = listing.source.removeprefix("modelscope://"), quote(listing.revision, safe="")
    base = f"{access.endpoint}/api/v1/models/{quote(name)}/repo?Revision={revision}&FilePath="
    files = (replace(f, url=base + quote(f.path, safe="", errors="replace")) for f in listing.files)
    return replace(listing, files=tuple(files))


def _files(said: Any, source: str) -> tuple[WeightFile, ...]:
    data = said.get("Data") if isinstance(said, dict) else None
    listed = data.get("Files") if isinstance(data, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_FILES:
        raise failure("bad-listing", f"ModelScope gives no list of the files of `{source}`", "try again later")
    return tuple(_file(entry, source) for entry in listed if not _is_folder(entry))


def _is_folder(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("Type") == "tree"


def _file(entry: Any, source: str) -> WeightFile:
    path = entry.get("Path") if isinstance(entry, dict) else None
    digest_ = entry.get("Sha256") if isinstance(entry, dict) else None
    if not isinstance(path, str) or not isinstance(digest_, str) or SHA256.match(digest_) is None:
        raise failure("bad-listing", f"ModelScope gives no hash for `{one_line(str(path))}` of `{source}`")
    size = checked_size(entry.get("Size"), path, source)
    return WeightFile(path, size, digest_)
