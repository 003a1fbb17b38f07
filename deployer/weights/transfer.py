"""A host fetches a manifest itself: runs the script there, follows what it says, and says what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, OperationError
from deployer.formats.text import decoded, one_line, whole_number
from deployer.transport.base import Transport
from deployer.values.weights import Manifest
from deployer.weights.access import ENDPOINTS
from deployer.weights.script import Job, fetch_script

SLOWEST = 16_384  # bytes a second: a transfer that is slower all the time is ended
LEAST_TIME = 6 * 3600.0  # seconds, for what is small: a disk may have to read what is there
MOST_PENDING = 4096  # bytes of a line that has no end yet
# progress, checking, waiting: bytes that are there; wrong: the number of a file; left: that of a peer which is given up
Follow = Callable[[str, int], object]


@dataclass(frozen=True, slots=True)
class _Failed:
    code: str
    number: int
    words: str


def fetch(transport: Transport, job: Job, follow: Follow) -> int:
    """The manifest is on the host afterwards; returns the bytes that came for it. OperationError or HostError.

    May be left at any time, by an exception of `follow` too: what arrived stays, and the next fetch goes on from it.
    """
    ended: int | _Failed | None = None
    timeout = LEAST_TIME + job.manifest.size / SLOWEST
    pending = b""
    with transport.stream(["sh", "-s"], stdin=fetch_script(job), timeout=timeout) as chunks:
        for chunk in chunks:
            *lines, pending = (pending + chunk).split(b"\n")
            pending = pending[-MOST_PENDING:]
            for line in lines:
                ended = _heard(decoded(line), follow) or ended
    if isinstance(ended, _Failed):
        raise OperationError(_diagnostic(ended, job, transport.name))
    if ended is None:
        hint = "apply again: it goes on from what is there"
        message = f"the fetch of `{job.manifest.source}` broke off"
        raise OperationError(Diagnostic("fetch-broken", message, hint=hint, host=transport.name))
    return ended - 1


def _heard(line: str, follow: Follow) -> int | _Failed | None:
    """One more than the bytes that came, at the end; 0 is no end."""
    word, _, rest = line.partition(" ")
    if word == "failed":
        code, _, rest = rest.partition(" ")
        number, _, words = rest.partition(" ")
        return _Failed(code, whole_number(number) or 0, one_line(words))
    count = whole_number(rest)
    if word == "whole":
        return (count or 0) + 1
    if word in ("progress", "waiting", "checking", "wrong", "left") and count is not None:
        follow(word, count)
    return None


def _diagnostic(failed: _Failed, job: Job, host: str) -> Diagnostic:
    manifest = job.manifest
    contents = tuple({file.blob: file for file in manifest.files}.values())
    file = contents[failed.number - 1] if 1 <= failed.number <= len(contents) else None
    what = f"`{one_line(file.path, 100)}` of `{manifest.source}`" if file is not None else f"`{manifest.source}`"
    server = urlsplit(file.url).netloc if file is not None else "its source"
    code, message, hint = _said(failed.code, what, server, job)
    evidence = (failed.words,) if failed.words else ()
    return Diagnostic(code, message, evidence=evidence, hint=hint, host=host)


def _said(code: str, what: str, server: str, job: Job) -> tuple[str, str, str]:
    again = "apply again: it goes on from what is there"
    folder = job.cache_dir
    known = {
        "disk-full": ("disk-full", f"{what} does not fit: the disk under `{folder}` is full", "free space, then apply"),
        "cannot-write": ("cache-unwritable", f"{what} cannot be written under `{folder}`", "see what the host says"),
        "no-folder": ("cache-unwritable", f"`{folder}` cannot be written", _own(folder)),
        "in-the-way": ("cache-unwritable", f"something in `{folder}` is in the way of {what}", "move it away"),
        "denied": ("fetch-denied", f"{server} does not give {what} to this host", _access(job.manifest)),
        "gone": ("fetch-gone", f"{server} has no {what} any more", "plan again; if it stays, correct `source`"),
        "stalled": ("fetch-stalled", f"{what} does not arrive from {server}", f"check the host's way to it; {again}"),
        "bad-certificate": (
            "bad-certificate",
            f"the host does not trust the certificate of {server}",
            _authority(job),
        ),
        "wrong-hash": ("wrong-hash", f"{what} arrives with other content than {server} promises", "try another mirror"),
        "wrong-size": ("wrong-size", f"{what} arrives with another size than {server} promises", "try another mirror"),
        "busy": ("cache-busy", f"another fetch of {what} on this host gets nowhere", "see which curl hangs there"),
        "no-curl": ("curl-missing", "there is no `curl` on the host", "install curl; `deployer doctor` says how"),
    }
    return known.get(code, ("fetch-failed", f"{what} could not be fetched", again))


def _own(folder: str) -> str:
    return f"let deployer's user write it: `sudo install -d -o USER {folder}` on the host, or set `become: sudo`"


def _authority(job: Job) -> str:
    hub = job.manifest.hub
    if hub in job.cas:
        return f"see that `hubs.{hub}.ca` holds the CA that signed it, and that the host's clock is right"
    trusted = "the host's trusted certificates (update-ca-certificates, update-ca-trust)"
    named = f"name a file with its CA in `hubs.{hub}.ca`, or " if hub in ENDPOINTS else ""
    return f"{named}add its CA to {trusted}"


def _access(manifest: Manifest) -> str:
    hub = manifest.source.partition("://")[0]
    return f"set `hubs: {{{hub}: {{token: {{secret: NAME}}}}}}` to a token that may read it, allowed for this host"
