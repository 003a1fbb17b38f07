"""A server on loopback that answers every request with the very bytes it is told to: an answer of HTTP, or none."""

from __future__ import annotations

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

USUAL = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


class RudeServer(socketserver.ThreadingTCPServer):
    """`answer` is sent at once; then nothing more comes, or `more` again and again, one each `pause` seconds."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.more, self.pause = b"", b"", 0.0
        self.ended = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def says(self, answer: bytes, more: bytes = b"", pause: float = 0.0) -> None:
        self.answer, self.more, self.pause = answer, more, pause


class Handler(socketserver.StreamRequestHandler):
    server: RudeServer

    def handle(self) -> None:
        try:
            while self.rfile.readline(65536) not in (b"\r\n", b""):
                pass
            self.wfile.write(self.server.answer)
            while self.server.more and not self.server.ended.wait(self.server.pause):
                self.wfile.write(self.server.more)
        except OSError:
            pass  # nobody listens any more


@contextmanager
def rude_server() -> Iterator[RudeServer]:
    server = RudeServer()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
