"""A Hub on the loopback: repositories of one revision, with ranges, or answers as bad as wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


@dataclass
class FakeHub:
    """`answers`: path without its query -> (status, headers, body), in place of what the folder holds."""

    repository: str
    folder: Path
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)  # path, Range, Authorization
    ranges: bool = True
    endless: bool = False
    url: str = ""

    @contextmanager
    def running(self) -> Iterator[FakeHub]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes | Path]:
        if path in self.answers:
            return self.answers[path]
        if path == f"/api/models/{self.repository}/revision/main":
            files = sorted(file for file in self.folder.rglob("*") if file.is_file())
            listed = [{"rfilename": str(f.relative_to(self.folder)), "size": f.stat().st_size} for f in files]
            return 200, {}, json.dumps({"id": self.repository, "siblings": listed}).encode()
        file = self.folder / path.removeprefix(f"/{self.repository}/resolve/main/")
        return (200, {}, file) if file.is_file() else (404, {"X-Error-Code": "RepoNotFound"}, b"")


class Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append((path, self.headers["Range"], self.headers["Authorization"]))
        status, headers, body = self.hub.answer(path)
        start, end = self._range()
        if status == 200 and isinstance(body, Path):
            with body.open("rb") as file:
                file.seek(start)
                body = file.read(end - start + 1)
            status = 206 if self.hub.ranges else 200
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if not self.hub.endless:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
            while self.hub.endless:
                self.wfile.write(b" " * 65536)
        except OSError:
            pass  # nobody listens any more

    def _range(self) -> tuple[int, int]:
        said = self.headers["Range"]
        if not self.hub.ranges or said is None:
            return 0, 1 << 24
        start, _, end = said.removeprefix("bytes=").partition("-")
        return int(start), int(end)

    def log_message(self, format: str, *args: object) -> None:
        pass
