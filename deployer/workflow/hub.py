"""A model on the Hugging Face Hub, read by pieces: its list of files, and ranges of them. Downloads no weights."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from deployer.dataclass import dataclass
from deployer.errors import DeployerError, Diagnostic
from deployer.formats.text import one_line
from deployer.values.codec import parse_json
from deployer.weights.bounded import within

if TYPE_CHECKING:
    from collections.abc import Iterator

HUB_ID = re.compile(
    r"hf://(?P<id>[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?)(?:@(?P<revision>[\w./-]{1,100}?))?"
    r"(?:/(?P<file>[\w./ -]{1,300}\.gguf))?\Z",
    re.ASCII,
)
MOST_LISTED = 16 << 20  # bytes
SILENCE = 20.0  # seconds
LONGEST = 120.0  # one answer
MOST_TIME = 600.0  # all answers about one model
OFFICIAL = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class HubModel:
    """`hf://ORGANIZATION/NAME[@REVISION][/FILE.gguf]`."""

    id: str
    revision: str = "main"
    file: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubModel:
        match = HUB_ID.match(text)
        if match is None or ".." in text:
            message = f"`{one_line(text)}` is no model of the Hub"
            raise DeployerError(Diagnostic("bad-hub-id", message, hint="write it as `hf://ORGANIZATION/NAME`"))
        return cls(match["id"], match["revision"] or "main", match["file"])


def library() -> tuple[Any, Any]:
    """huggingface_hub's errors and utilities; it does not declare what it exports of them."""
    from huggingface_hub import errors, utils

    return errors, utils


class HubFiles:
    """Files of a repository. What the Hub says is hostile: bounded, and not waited for without end (`seconds`, all of
    it together)."""

    def __init__(self, model: HubModel, name: str, endpoint: str | None = None, seconds: float = MOST_TIME) -> None:
        self.name = name
        self._model = model
        self._endpoint = (endpoint or OFFICIAL).rstrip("/")
        self._sizes: dict[str, int | None] | None = None
        self._seconds, self._until = seconds, 0.0

    def sizes(self) -> Mapping[str, int | None]:
        if self._sizes is None:
            path = f"api/models/{self._model.id}/revision/{quote(self._model.revision, safe='')}?blobs=true"
            self._sizes = _listed(self._get(path, 0, MOST_LISTED), self.name)
        return self._sizes

    def read(self, file: str, start: int, length: int) -> bytes:
        revision = quote(self._model.revision, safe="")
        return self._get(f"{self._model.id}/resolve/{revision}/{quote(file)}", start, length)

    def _get(self, path: str, start: int, length: int) -> bytes:
        """At most `length` bytes from `start` on."""
        errors, _ = library()
        self._until = self._until or time.monotonic() + self._seconds
        left = self._until - time.monotonic()
        try:
            return within(max(0.0, min(LONGEST, left)), lambda: self._ranged(f"{self._endpoint}/{path}", start, length))
        except (errors.HTTPError, OSError, ValueError) as error:
            why = f"cannot be read from {self._endpoint}: {one_line(str(error)) or type(error).__name__}"
            raise self._failed("hub-unreachable", why, "check the network, or name a mirror with HF_ENDPOINT") from None

    def _ranged(self, url: str, start: int, length: int) -> bytes:
        _, hub = library()
        headers = hub.build_hf_headers() | {
            "Range": f"bytes={start}-{start + length - 1}",
            "Accept-Encoding": "identity",
        }
        with hub.get_session().stream("GET", url, headers=headers, timeout=SILENCE) as response:
            if response.status_code == 416:  # the file ends before
                return b""
            if response.status_code not in (200, 206):
                raise self._refused(response.status_code, response.headers.get("X-Error-Code", ""))
            skipped = start if response.status_code == 200 else 0
            if skipped > length:
                raise ValueError("the server does not give parts of files")
            return _taken(response.iter_bytes(), skipped, length)

    def _refused(self, status: int, code: str) -> DeployerError:
        """Codes: huggingface_hub/utils/_http.py. Without a token the Hub says 401 of what is not there, too."""
        if code == "RevisionNotFound":
            message = f"has no revision `{self._model.revision}`"
            return self._failed("revision-not-found", message, "correct what follows `@`")
        if code == "GatedRepo" or status == 403:
            hint = f"ask for access at {self._endpoint}/{self._model.id}, and set HF_TOKEN"
            return self._failed("model-gated", "is only for those who asked for it", hint)
        if status in (401, 404):
            hint = "correct its name; for a private one set HF_TOKEN"
            return self._failed("model-not-found", "is not on the Hub", hint)
        return self._failed("hub-failed", f"cannot be read: the Hub answered {status}", "try again, or name a folder")

    def _failed(self, code: str, why: str, hint: str) -> DeployerError:
        return DeployerError(Diagnostic(code, f"`{self.name}` {why}", hint=hint))


def _taken(pieces: Iterator[bytes], skipped: int, length: int) -> bytes:
    """What comes after the first `skipped` bytes. ValueError where it takes too long."""
    data, deadline = bytearray(), time.monotonic() + LONGEST
    for piece in pieces:
        data += piece
        if len(data) >= skipped + length:
            break
        if time.monotonic() > deadline:
            raise ValueError(f"the answer takes longer than {LONGEST:.0f} s")
    return bytes(data[skipped : skipped + length])


def _listed(data: bytes, name: str) -> dict[str, int | None]:
    """Names and sizes of the files of a repository."""
    try:
        said = parse_json(data, MOST_LISTED)
    except ValueError:
        said = None
    siblings = said.get("siblings") if isinstance(said, dict) else None
    if not isinstance(siblings, list):
        message = f"what the Hub says of `{name}` is no list of files"
        raise DeployerError(Diagnostic("hub-failed", message, hint="check that HF_ENDPOINT names a Hub"))
    found: dict[str, int | None] = {}
    for entry in siblings:
        file = entry.get("rfilename") if isinstance(entry, dict) else None
        if isinstance(file, str) and len(file) <= 1000 and not file.startswith("/") and ".." not in file.split("/"):
            size = entry.get("size")
            found[file] = size if type(size) is int and size >= 0 else None
    return found
