"""A hub on loopback that huggingface_hub and curl accept: models with commits, LFS files behind a redirect, ranges,
gated repositories; slow, dropping and lying where a test asks for it. It speaks ModelScope's REST API too.

Its shapes are those of huggingface.co (api/models/ID/revision/REV?blobs=true, ID/resolve/REV/PATH) and of
modelscope.cn (api/v1/models/ID/repo/files, api/v1/models/ID/repo).
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

LFS_FROM = 4096  # bytes: smaller files are in git itself
PIECE = 8192


@lru_cache(maxsize=256)
def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@lru_cache(maxsize=256)
def git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repo:
    """`commits`: by id the files; `refs`: branches and tags. `token`: who may read it; None: everybody."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    config: dict[str, Any] | None = None
    gguf: dict[str, Any] | None = None

    def push(self, files: dict[str, bytes], ref: str = "main") -> str:
        """A commit of these files alone; `master` is ModelScope's name of the branch."""
        text = json.dumps({name: sha256(data) for name, data in files.items()}, sort_keys=True)
        commit = hashlib.sha1(f"{len(self.commits)}{text}".encode()).hexdigest()
        self.commits[commit] = dict(files)
        for name in (ref, "master") if ref == "main" else (ref,):
            self.refs[name] = commit
        return commit

    def at(self, revision: str) -> str | None:
        found = self.refs.get(revision, revision)
        return found if found in self.commits else None


@dataclass
class Faults:
    """`rate`: bytes a second of each answer. `drop_after`: bytes after which answers break off, for so many `drops`.
    `flip`: bytes of files (by their last name) with one bit wrong. `statuses`: answers before any file, used up."""

    rate: float | None = None
    drop_after: int | None = None
    drops: int = 0
    flip: set[str] = field(default_factory=set)
    stall: set[str] = field(default_factory=set)
    statuses: list[int] = field(default_factory=list)
    ignore_ranges: bool = False
    dies_after_drop: bool = False  # no file is given any more
    is_dead: bool = False


class Hub:
    """`served`: bytes of content that went out, by file name, looks at beginnings apart; `requests`: METHOD PATH of
    each."""

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0), tls: ssl.SSLContext | None = None) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults = Faults()
        self.served: dict[str, int] = {}
        self.requests: list[str] = []
        self.tokens: list[tuple[str, str]] = []  # path, Authorization
        self.proxied: set[str] = set()  # how it was asked as a proxy, which it is for whoever takes it for one
        self.store: str | None = None  # the URL that LFS files are at; None: the hub's own
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(address, type("OfThisHub", (Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        host, port = self.server.server_address[:2]
        return f"{self._scheme}://{host!s}:{port}"

    def repo(self, name: str, files: dict[str, bytes], **about: Any) -> Repo:
        made = self.repos.setdefault(name, Repo(**about))
        made.push(files)
        return made

    def by_content(self, digest: str) -> tuple[str, bytes] | None:
        for repo in self.repos.values():
            for files in repo.commits.values():
                for name, data in files.items():
                    if sha256(data) == digest:
                        return name, data
        return None

    @property
    def total(self) -> int:
        return sum(self.served.values())

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def hub() -> Iterator[Hub]:
    made = Hub()
    try:
        yield made
    finally:
        made.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        with self.hub.lock:
            self.hub.requests.append(f"{self.command} {path}")
            if self.headers.get("Authorization"):
                self.hub.tokens.append((path, self.headers["Authorization"]))
            if self.headers.get("Proxy-Authorization"):
                self.hub.proxied.add(self.headers["Proxy-Authorization"])
        if path.startswith("/api/v1/models/"):
            self._modelscope(path.removeprefix("/api/v1/models/"), parse_qs(parts.query))
        elif path.startswith("/api/models/"):
            self._model(path.removeprefix("/api/models/"))
        elif path.startswith("/lfs/"):
            found = self.hub.by_content(path.removeprefix("/lfs/"))
            self._send(*found) if found else self._error(404, "")
        elif "/resolve/" in path:
            name, _, rest = path.strip("/").partition("/resolve/")
            self._resolve(name, rest)
        else:
            self._error(404, "")

    # --- Hugging Face

    def _model(self, rest: str) -> None:
        name, _, revision = rest.partition("/revision/")
        repo = self._readable(name, about=True)
        if repo is None:
            return
        commit = repo.at(revision or "main")
        if commit is None:
            self._error(404, "RevisionNotFound")
            return
        siblings = [_sibling(path, data) for path, data in sorted(repo.commits[commit].items())]
        gated = "manual" if repo.token else False
        said = {"id": name, "sha": commit, "private": False, "gated": gated, "siblings": siblings, "tags": []}
        if repo.config is not None:
            said["config"] = repo.config
        if repo.gguf is not None:
            said["gguf"] = repo.gguf
        self._json(said)

    def _resolve(self, name: str, rest: str) -> None:
        repo = self._readable(name)
        if repo is None:
            return
        found = _split_revision(repo, rest)
        if found is None:
            self._error(404, "EntryNotFound")
            return
        commit, path = found
        data = repo.commits[commit][path]
        about = {"X-Repo-Commit": commit, "X-Linked-Size": str(len(data))}
        if len(data) < LFS_FROM:
            self._send(path, data, {"ETag": f'"{git_id(data)}"', **about})
            return
        digest = sha256(data)
        self.send_response(302)
        for key, value in {"ETag": f'"{digest}"', "X-Linked-Etag": f'"{digest}"', **about}.items():
            self.send_header(key, value)
        self.send_header("Location", f"{self.hub.store or self.hub.url}/lfs/{digest}?name={quote(path)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _readable(self, name: str, *, about: bool = False) -> Repo | None:
        """Of a gated one everybody is told about it, and only who has the token gets files."""
        repo = self.hub.repos.get(name)
        if repo is None:
            self._error(401, "RepoNotFound")
            return None
        given = self.headers.get("Authorization", "")
        if repo.token is not None and not about and given != f"Bearer {repo.token}":
            self._error(401 if not given else 403, "GatedRepo")
            return None
        return repo

    # --- ModelScope

    def _modelscope(self, rest: str, query: dict[str, list[str]]) -> None:
        name, _, verb = rest.partition("/repo")
        repo = self.hub.repos.get(name)
        revision = query.get("Revision", ["master"])[0]
        commit = repo.at(revision) if repo else None
        if repo is None or commit is None:
            self._json({"Code": 10010205001, "Message": "not found", "Success": False}, 404)
        elif verb == "/files":
            files = [
                {"Path": p, "Name": p.split("/")[-1], "Type": "blob", "Size": len(d), "Sha256": sha256(d)}
                for p, d in sorted(repo.commits[commit].items())
            ]
            self._json({"Code": 200, "Data": {"Files": files}, "Success": True})
        else:
            path = query.get("FilePath", [""])[0]
            data = repo.commits[commit].get(path)
            self._send(path, data) if data is not None else self._error(404, "")

    # --- answers

    def _json(self, data: Any, status: int = 200) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, path: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        status = self._status()
        if status:
            self._error(status, "")
            return
        name = path.split("/")[-1]
        if name in self.hub.faults.flip:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if self._is_look():
            data = data[: int(self.headers["Range"].partition("-")[2]) + 1]
        first, code = self._first_byte(len(data)), 200
        if first is not None and not self.hub.faults.ignore_ranges:
            if first >= len(data):
                self._error(416, "")
                return
            code = 206
        start = first if code == 206 and first is not None else 0
        self.send_response(code)
        for key, value in (headers or {"ETag": f'"{sha256(data)}"'}).items():
            self.send_header(key, value)
        self.send_header("Accept-Ranges", "none" if self.hub.faults.ignore_ranges else "bytes")
        self.send_header("Content-Length", str(len(data) - start))
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self._is_look():
            self.wfile.write(data)
        elif self.command != "HEAD":
            self._body(name, data[start:] if name not in self.hub.faults.stall else data[start : PIECE * 2])

    def _status(self) -> int:
        """Of a file that is not given; 0 where it is."""
        with self.hub.lock:
            if self.hub.faults.statuses and self.command != "HEAD" and not self._is_look():
                return self.hub.faults.statuses.pop(0)
            return 503 if self.hub.faults.is_dead else 0

    def _is_look(self) -> bool:
        """Somebody wants the beginning alone: no fetch, so no fault and no count."""
        last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")[2]
        return self.command != "HEAD" and last.isdigit()

    def _first_byte(self, size: int) -> int | None:
        asked = self.headers.get("Range", "")
        first = asked.removeprefix("bytes=").partition("-")[0]
        return int(first) if first.isdigit() else None

    def _body(self, name: str, data: bytes) -> None:
        limit = self._limit(len(data))
        piece = PIECE if self.hub.faults.rate is None else max(256, min(PIECE, int(self.hub.faults.rate / 20)))
        for at in range(0, min(len(data), limit), piece):
            part = data[at : min(at + piece, limit)]
            try:
                self.wfile.write(part)
            except OSError:
                return
            with self.hub.lock:
                self.hub.served[name] = self.hub.served.get(name, 0) + len(part)
            if self.hub.faults.rate is not None:
                time.sleep(len(part) / self.hub.faults.rate)
        while name in self.hub.faults.stall:
            time.sleep(0.05)
        if limit < len(data):
            self.hub.faults.is_dead = self.hub.faults.dies_after_drop
            self.close_connection = True
            self.connection.close()

    def _limit(self, size: int) -> int:
        with self.hub.lock:
            after = self.hub.faults.drop_after
            if after is None or size <= after or not self.hub.faults.drops:
                return size
            self.hub.faults.drops -= 1
            return after


def _sibling(path: str, data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git_id(data)}
    if len(data) >= LFS_FROM:
        found["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 134}
    return found


def _split_revision(repo: Repo, rest: str) -> tuple[str, str] | None:
    """`main/a/b.json` as commit and path; a revision may have slashes."""
    words = rest.split("/")
    for end in range(1, len(words)):
        commit, path = repo.at("/".join(words[:end])), "/".join(words[end:])
        if commit is not None and path in repo.commits[commit]:
            return commit, path
    return None
