"""A registry of our own on 127.0.0.1, kept in memory: with tokens or passwords, redirects, and bad habits."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deployer.formats.oci import INDEXES, MANIFESTS, digest_of
from tests.support.images import MadeImage

TOKEN = "t0ken-of-the-registry"


@dataclass
class RegistryServer:
    """`login`: user and password. `tokens`: asks for a token first. `cuts`: answers that end so many bytes early, by
    digest, one for each time. `lies`: what comes in a blob's place. `elsewhere`: another server that has the blobs."""

    manifests: dict[str, bytes] = field(default_factory=dict)  # by NAME:TAG and by NAME@DIGEST
    blobs: dict[str, bytes] = field(default_factory=dict)
    login: tuple[str, str] | None = None
    tokens: bool = False
    token: str = TOKEN  # the one that is good now
    realm: str = ""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    lies: dict[str, bytes] = field(default_factory=dict)
    elsewhere: str = ""
    ranges: bool = True
    seen: list[tuple[str, str, str]] = field(default_factory=list)  # path, Authorization, Range
    address: str = ""

    def add(self, name: str, image: MadeImage) -> None:
        repository = name.rpartition(":")[0]
        self.blobs |= image.blobs
        self.manifests |= {name: image.manifest, f"{repository}@{image.digest}": image.manifest}

    def add_index(self, name: str, index: bytes, *images: MadeImage) -> None:
        repository = name.rpartition(":")[0]
        for image in images:
            self.add(f"{repository}:{image.id[-8:]}", image)
        self.manifests |= {name: index, f"{repository}@{digest_of(index)}": index}

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.seen]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: RegistryServer

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # who has read enough hangs up
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        registry, url = self.registry, urlsplit(self.path)
        registry.seen.append((url.path, self.headers.get("Authorization", ""), self.headers.get("Range", "")))
        if url.path == "/token":
            return self._token(parse_qs(url.query))
        if not self._may_read():
            return self._challenge()
        if url.path == "/v2/":
            return self._send(200, b"{}")
        repository, kind, reference = url.path.removeprefix("/v2/").rsplit("/", 2)
        if kind == "manifests":
            separator = "@" if reference.startswith("sha256:") else ":"
            return self._manifest(registry.manifests.get(f"{repository}{separator}{reference}"))
        if registry.elsewhere:
            return self._send(307, b"", Location=f"{registry.elsewhere}{url.path}")
        return self._blob(reference)

    do_HEAD = do_GET

    def _may_read(self) -> bool:
        given, registry = self.headers.get("Authorization", ""), self.registry
        if registry.tokens:
            return given == f"Bearer {registry.token}"
        return registry.login is None or given == self._basic()

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(":".join(self.registry.login or ()).encode()).decode()

    def _challenge(self) -> None:
        realm = self.registry.realm or f"http://{self.registry.address}/token"
        kind = f'Bearer realm="{realm}",service="test"' if self.registry.tokens else 'Basic realm="test"'
        self._send(401, b"{}", WWW_Authenticate=kind)

    def _token(self, query: dict[str, list[str]]) -> None:
        if self.registry.login is not None and self.headers.get("Authorization") != self._basic():
            return self._send(401, b"{}")
        assert query["scope"][0].startswith("repository:"), query
        return self._send(200, json.dumps({"token": self.registry.token}).encode())

    def _manifest(self, data: bytes | None) -> None:
        if data is None:
            return self._send(404, b"{}")
        kind = (INDEXES if b'"manifests"' in data else MANIFESTS)[0]
        return self._send(200, data, Content_Type=kind, Docker_Content_Digest=digest_of(data))

    def _blob(self, digest: str) -> None:
        data = self.registry.lies.get(digest, self.registry.blobs.get(digest))
        if data is None:
            return self._send(404, b"{}")
        first, asked = 0, self.headers.get("Range", "")
        if asked and self.registry.ranges:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
        part = data[first:]
        cuts = self.registry.cuts.get(digest)
        kept = part[: len(part) - cuts.pop(0)] if cuts else part
        self.send_response(206 if asked and self.registry.ranges else 200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(kept)
        self.close_connection = len(kept) < len(part)
        return None

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextlib.contextmanager
def serving(registry: RegistryServer, tls: ssl.SSLContext | None = None) -> Iterator[RegistryServer]:
    handler: Any = type("OneHandler", (Handler,), {"registry": registry})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    registry.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
