"""The controller brings a manifest to a host: chunk by chunk, going on from what is there."""

from __future__ import annotations

import http.client
import io
import shlex
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache, partial
from pathlib import Path

from deployer.dataclass import replace
from deployer.errors import Diagnostic, OperationError
from deployer.formats.text import decoded, one_line, whole_number
from deployer.transport.base import Transport
from deployer.values.weights import PART, Manifest, Place, WeightFile
from deployer.weights.access import failure, unreachable
from deployer.weights.bundles.collecting import hash_of
from deployer.weights.reading import pieces_of
from deployer.weights.script import Job
from deployer.weights.transfer import Follow, fetch

CHUNK = 16 << 20  # bytes of one command: what a kill can cost
SLOWEST = 65_536  # bytes a second of one chunk
TRIES = 5  # in a row without a byte from the source
SMALL = 64  # files of one command, each at most that part of a chunk
AT_ONCE = 8  # of them read from the source
FAILURES = {3: "no-folder", 4: "busy", 5: "full"}


def push(transport: Transport, job: Job, follow: Follow) -> int:
    """The manifest is on the host afterwards, checked there; returns the bytes that were brought."""
    contents = tuple({file.blob: file for file in job.manifest.files}.values())
    there = _state(transport, job, contents)
    done, brought = sum(f.size for f in contents if there.get(f.blob) is None), 0
    for blob, size in _bring_small(transport, job, [f for f in contents if there.get(f.blob) == 0]):
        there[blob] = None
        done, brought = done + size, brought + size
        follow("progress", done)
    for file in contents:
        have = there.get(file.blob, 0)
        if have is None:
            continue
        for now in _bring(transport, job, file, min(have, file.size)):
            follow("progress", done + now)
        done, brought = done + file.size, brought + file.size - min(have, file.size)
    checked = replace(job, manifest=_with_hashes(job.manifest, follow), tokens={}, cas={}, pushed=True)
    fetch(transport, checked, follow)
    return brought


def _with_hashes(manifest: Manifest, follow: Follow) -> Manifest:
    """What is on the controller's disk is read once more, so that the host can tell whether it has the same."""
    files, done = [], 0
    for file in manifest.files:
        if not (file.sha256 or file.git) and file.url.startswith("/"):
            told = partial(_told, follow, done)
            file = replace(file, sha256=hash_of(file.url, told))
        done += file.size
        files.append(file)
    return replace(manifest, files=tuple(files))


def _told(follow: Follow, before: int, now: int) -> None:
    follow("checking", before + now)


def _state(transport: Transport, job: Job, contents: tuple[WeightFile, ...]) -> dict[str, int | None]:
    """Bytes of each content that are there; None where it has its own name already."""
    script = _script(job) + f"state {shlex.join(file.blob for file in contents)}\n"
    said = transport.run(["sh", "-s"], stdin=script.encode(), timeout=60.0).stdout
    found: dict[str, int | None] = {}
    for line in decoded(said).split("\n"):
        blob, _, count = line.partition(" ")
        found[blob] = None if count == "whole" else whole_number(count) or 0
    return {file.blob: found.get(file.blob, 0) for file in contents}


def _bring_small(transport: Transport, job: Job, files: Sequence[WeightFile]) -> Iterator[tuple[str, int]]:
    """The blobs and sizes of small files that came together, an armful in one command. What cannot be read or written
    so comes alone, and says why it does not."""
    small = [file for file in files if 0 < file.size <= CHUNK // SMALL]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for first in range(0, len(small), SMALL):
            armful = small[first : first + SMALL]
            found = zip(armful, pool.map(lambda file: _whole(job, file), armful), strict=True)
            read = {f"{file.blob}{PART}": data for file, data in found if len(data) == file.size}
            argv = ["sh", "-c", _script(job) + "unpack", "deployer-push"]
            if read and transport.run(argv, stdin=_tar(read), timeout=120.0 + CHUNK / SLOWEST).exit_code == 0:
                yield from ((file.blob, file.size) for file in armful if f"{file.blob}{PART}" in read)


def _whole(job: Job, file: WeightFile) -> bytes:
    """Nothing where it cannot be read."""
    try:
        with closing(pieces_of(file, 0, job.way(Place(file.url, job.manifest.hub)), CHUNK)) as pieces:
            return b"".join(pieces)
    except (OSError, http.client.HTTPException):
        return b""


def _tar(contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _bring(transport: Transport, job: Job, file: WeightFile, have: int) -> Iterator[int]:
    """Bytes that are on the host, after each chunk."""
    silent, places = 0, [Place(file.url, job.manifest.hub), *file.others]
    while have < file.size:
        before = have
        try:
            with closing(pieces_of(file, have, job.way(places[0]), CHUNK)) as pieces:
                for piece in pieces:
                    now = _append(transport, job, file, have, piece)
                    yield now
                    if now != have + len(piece):  # somebody else brings it too
                        have = now
                        break
                    have = now
        except (OSError, http.client.HTTPException) as error:
            silent = silent + 1 if have == before else 0
            if silent >= TRIES and len(places) == 1:
                raise unreachable(file.path, one_line(places[0].url, 100), error, places[0].hub) from None
            if silent >= TRIES:
                places, silent = places[1:], 0  # the next one goes on from here
            continue
        silent = silent + 1 if have == before else 0
        if silent >= TRIES:
            message = f"`{one_line(file.path, 100)}` of `{job.manifest.source}` ends after {have} of {file.size} bytes"
            raise failure("wrong-size", message, "plan again; if it stays, try another mirror")


def _append(transport: Transport, job: Job, file: WeightFile, offset: int, piece: bytes) -> int:
    argv = ["sh", "-c", _script(job, BLOB=file.blob, OFFSET=str(offset)) + "append", "deployer-push"]
    done = transport.run(argv, stdin=piece, timeout=120.0 + len(piece) / SLOWEST)
    count = whole_number(decoded(done.stdout))
    if done.exit_code == 0 and count is not None:
        return count
    why = FAILURES.get(done.exit_code, "failed")
    evidence = tuple(one_line(line) for line in decoded(done.stderr[-600:]).split("\n") if line.strip())[-2:]
    code = {"full": "disk-full", "busy": "cache-busy"}.get(why, "cache-unwritable")
    message = f"`{one_line(file.path, 100)}` cannot be written under `{job.cache_dir}`"
    hint = "free space on the host, then apply: it goes on from what is there" if why == "full" else "see what it says"
    raise OperationError(Diagnostic(code, message, evidence=evidence, hint=hint, host=transport.name))


def _script(job: Job, **more: str) -> str:
    settings = {"CACHE": job.cache_dir, "FOLDER": job.manifest.folder, **more}
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()) + script_body()


@cache
def script_body() -> str:
    return Path(__file__).with_name("push.sh").read_text("utf-8")
