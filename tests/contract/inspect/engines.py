"""A Docker engine written out: answers of a table, at a socket of its own."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


class Answer:
    """What is sent for one path; `data` is JSON unless it is bytes. `drip`: a byte each 50 ms, for ever."""

    def __init__(self, data: Any, status: int = 200, *, close: bool = False, drip: bool = False) -> None:
        self.body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.status, self.close, self.drip = status, close, drip


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self.answers = answers
        self.headers: dict[str, str] = {}  # of every answer
        self.asked: list[str] = []
        self.connections = 0
        super().__init__(str(path), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path, Answer({"message": "page not found"}, 404))
        self.send_response_only(answer.status)
        for name, value in {"Content-Type": "application/json", **self.server.headers}.items():
            self.send_header(name, value)
        if answer.close:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(1 << 20 if answer.drip else len(answer.body)))
        self.end_headers()
        while answer.drip:
            self.wfile.write(b" ")
            time.sleep(0.05)
        self.wfile.write(answer.body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@contextmanager
def engine(path: Path, answers: Mapping[str, Answer]) -> Iterator[Engine]:
    with Engine(path, answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)
