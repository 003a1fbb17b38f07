"""Single files behind https://: what their server says of them. All parts of a split GGUF by the name of one."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote, urlsplit, urlunsplit

from deployer.dataclass import replace
from deployer.formats.gguf_parts import split_parts
from deployer.formats.text import whole_number
from deployer.values.canonical import digest
from deployer.values.weights import Listing, WeightFile
from deployer.weights.access import failure
from deployer.weights.rest import ask_about

HASH = re.compile(r"sha256:([0-9a-f]{64})\Z")


def list_https(source: str, revision: str | None) -> Listing:
    """`revision: sha256:HEX` says what the file must be; otherwise its server's ETag or date tells versions apart."""
    parts = split_parts(urlsplit(source).path)
    hashed = HASH.match(revision or "")
    if revision is not None and (hashed is None or len(parts) > 1):
        hint = "write `revision: sha256:HEX` for one file, or leave it out"
        raise failure("bad-revision", f"`{source}` has no revisions", hint)
    files = tuple(_file(source, part, hashed[1] if hashed else None) for part in parts)
    commit = digest([[file.path, file.size, file.blob] for file in files])[:40]
    return Listing(source, revision or "", commit, files, pinned=hashed is not None)


def with_https_urls(listing: Listing) -> Listing:
    """Of a file or of the parts of a split one, which have their own names."""
    parts = split_parts(urlsplit(listing.source).path)
    urls = {
        unquote(posixpath.basename(part)): urlunsplit(urlsplit(listing.source)._replace(path=part)) for part in parts
    }
    return replace(listing, files=tuple(replace(f, url=urls.get(f.path, "")) for f in listing.files))


def _file(source: str, path: str, sha256: str | None) -> WeightFile:
    url = urlunsplit(urlsplit(source)._replace(path=path))
    name = unquote(posixpath.basename(path))
    answer = ask_about(url)
    if answer.status != 200:
        raise failure("no-such-source", f"`{url}` answers with status {answer.status}", "correct `source`")
    size = whole_number(answer.headers.get("content-length", ""))
    if size is None:
        raise failure("bad-listing", f"`{url}` does not say how large it is", "serve it with a Content-Length")
    tag = answer.headers.get("etag") or answer.headers.get("last-modified") or ""
    return WeightFile(name, size, sha256, tag=None if sha256 else f"{url} {tag}", url=url)
