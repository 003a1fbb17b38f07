"""A model of ModelScope, or GGUF files behind https://, read by pieces as the Hub's are. Downloads no weights."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deployer.dataclass import dataclass
from deployer.errors import DeployerError, Diagnostic
from deployer.formats.text import one_line
from deployer.values.weights import Listing
from deployer.weights.access import Access, endpoint_of
from deployer.weights.rest import ask

MODELSCOPE = re.compile(
    r"(?P<source>modelscope://[\w.-]{1,96}/[\w.-]{1,96})(?:@(?P<revision>[\w./-]{1,100}?))?"
    r"(?:/(?P<file>[\w./ -]{1,300}\.gguf))?\Z",
    re.ASCII,
)


@dataclass(slots=True)
class ListedFiles:
    """Files that a source told the places of. Whatever it says is hostile, and bounded by how it is asked."""

    name: str
    listing: Listing

    def sizes(self) -> Mapping[str, int | None]:
        return {file.path: file.size for file in self.listing.files}

    def read(self, file: str, start: int, length: int) -> bytes:
        found = next(one for one in self.listing.files if one.path == file)
        last = min(start + length, found.size) - 1
        if last < start:
            return b""
        answer = ask(found.url, headers={"Range": f"bytes={start}-{last}"}, most=last + 1)
        if answer.status not in (200, 206):
            message = f"`{one_line(file, 100)}` of `{self.name}` cannot be read: status {answer.status}"
            raise DeployerError(Diagnostic("model-unreadable", message, hint="see that everybody may read it"))
        body = answer.body[start:] if answer.status == 200 else answer.body
        return body[:length]


def listed_files(name: str, environment: Mapping[str, str]) -> tuple[ListedFiles, str | None]:
    """The files, and the one of them that is meant. DeployerError."""
    if name.startswith("https://"):
        from deployer.weights.https import list_https

        listing = list_https(name, None)
        return ListedFiles(name, listing), listing.files[0].path
    from deployer.weights.modelscope import list_modelscope

    match = MODELSCOPE.match(name)
    if match is None:
        message = f"`{one_line(name, 200)}` is no model of ModelScope"
        raise DeployerError(Diagnostic("bad-hub-id", message, hint="write it as `modelscope://OWNER/NAME`"))
    access = Access(endpoint_of("modelscope", None, environment))
    return ListedFiles(name, list_modelscope(match["source"], match["revision"], access)), match["file"]
