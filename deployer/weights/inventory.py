"""What a host's cache holds, read and parsed, and the removal of some of it. What hosts say is hostile."""

from __future__ import annotations

import secrets
import shlex
from functools import cache
from pathlib import Path
from typing import Any

from deployer.errors import Diagnostic, OperationError
from deployer.formats.hub_names import refused_names
from deployer.formats.linux import parse_df
from deployer.formats.text import decoded, one_line, whole_number
from deployer.planning.shared_caches import shared_folder
from deployer.transport.base import Transport
from deployer.values.cache import CacheContents, KeptManifest, Removal
from deployer.values.codec import from_data, parse_json
from deployer.values.weights import COMMIT, Manifest, WeightFile

TIMEOUT = 120.0
LARGEST_MANIFEST = 8 << 20


def read_contents(transport: Transport, cache_dir: str) -> CacheContents:
    """HostError where the host does not answer. Whoever has no cache has an empty one."""
    marker = secrets.token_hex(16)
    done = transport.run(["sh", "-s"], stdin=_script("contents", {"M": marker, "CACHE": cache_dir}), timeout=TIMEOUT)
    return parse_contents(done.stdout, marker, cache_dir)


def parse_contents(output: bytes, marker: str, cache_dir: str) -> CacheContents:
    manifests, unread, shared = [], [], ""
    blobs: dict[str, dict[str, tuple[int, int]]] = {}
    for part in (b"\n" + output).split(f"\n{marker} ".encode())[1:]:
        heading, _, body = part.partition(b"\n")
        word, *rest = decoded(heading[:4096]).split(" ")
        if word == "manifest" and len(rest) == 2:
            kept = parse_manifest(body, rest[1], whole_number(rest[0]) or 0)
            if kept is not None:
                manifests.append(kept)
            else:
                unread.append(one_line(rest[1], 100))
        elif word == "blobs":
            blobs = _blobs(decoded(body), cache_dir)
        elif word == "disk":
            shared = _shared(decoded(body))
    return CacheContents(cache_dir, tuple(manifests), blobs, tuple(unread), shared)


def _shared(text: str) -> str:
    """Of the cache's own path, links followed, and what df says."""
    folder, _, table = text.partition("\n")
    disk = parse_df(table)
    return shared_folder(folder, disk.server, disk.mount) if disk is not None else ""


def parse_manifest(text: bytes, name: str, checked: int) -> KeptManifest | None:
    """None for what is no manifest under its own name, or could lead out of its folder."""
    try:
        data = parse_json(text.strip(b"\n"), LARGEST_MANIFEST)
        if not isinstance(data, dict) or data.get("format") != 1:
            return None
        files = tuple(_file(entry) for entry in from_data(tuple[dict[str, Any], ...], data.get("files")))
        source, revision, commit = (from_data(str, data.get(key)) for key in ("source", "revision", "commit"))
    except ValueError:
        return None
    manifest = Manifest(source, revision, commit, files)
    is_safe = COMMIT.match(commit) is not None and next(refused_names(f.path for f in files), None) is None
    is_safe = is_safe and source.isprintable() and ".." not in manifest.folder
    return KeptManifest(name, checked, manifest) if is_safe and manifest.id == name else None


def _file(entry: dict[str, Any]) -> WeightFile:
    path, size = from_data(str, entry.get("path")), from_data(int, entry.get("size"))
    sha256, git = (from_data(str, entry[key]) if key in entry else None for key in ("sha256", "git"))
    tag = from_data(str, entry["tag"]) if "tag" in entry else None
    if size < 0 or not all(word.isalnum() for word in (sha256, git) if word is not None):
        raise ValueError("a file of the manifest")
    return WeightFile(path, size, sha256, git, tag)


def _blobs(text: str, cache_dir: str) -> dict[str, dict[str, tuple[int, int]]]:
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for line in text.split("\n"):
        size, _, rest = line.partition(" ")
        time, _, path = rest.partition(" ")
        folder, blobs, name = path.removeprefix(cache_dir + "/").rpartition("/blobs/")
        stamp = whole_number(size), whole_number(time)
        if blobs and name and stamp[0] is not None and stamp[1] is not None:
            found.setdefault(folder, {})[one_line(name)] = (stamp[0], stamp[1])
    return found


def remove(transport: Transport, removal: Removal) -> int:
    """Bytes that are free now. OperationError where another fetch is at work there, or it may not be written."""
    settings = {
        "CACHE": removal.cache_dir,
        "FOLDER": removal.folder,
        "MANIFESTS": " ".join(removal.manifests),
        "COMMITS": " ".join(removal.commits),
        "BLOBS": " ".join(removal.blobs),
    }
    done = transport.run(["sh", "-s"], stdin=_script("remove", settings), timeout=TIMEOUT)
    word, _, freed = one_line(decoded(done.stdout)).partition(" ")
    if word == "removed":
        return whole_number(freed) or 0
    code, why = ("cache-busy", "a fetch is at work there") if word == "busy" else ("cache-unwritable", "denied")
    message = f"`{removal.folder}` cannot be removed from `{removal.cache_dir}`: {why}"
    raise OperationError(Diagnostic(code, message, hint="try again later", host=transport.name))


def _script(verb: str, settings: dict[str, str]) -> bytes:
    head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    return (head + script_body() + f"{verb} </dev/null\n").encode("utf-8", "surrogateescape")


@cache
def script_body() -> str:
    return Path(__file__).with_name("cache.sh").read_text("utf-8")
