"""What runs inside the fake host's containers: the same small model server as `stub.sh`, by the same variables."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

TERMINATED = 143
ANSWERS = ("CHAT", "COMPLETIONS", "EMBEDDINGS", "RERANK", "SETUP")


@dataclass
class Process:
    """One run of a container's program."""

    argv: Sequence[str]
    env: Mapping[str, str]
    say: Callable[[str], None]  # a line of stdout
    listen: tuple[str, int] | None = None  # where the host publishes the port
    stopping: threading.Event = field(default_factory=threading.Event)
    state: str = ""  # what it was set up with

    def sleep(self, seconds: float) -> bool:
        """False when it is told to stop."""
        return not self.stopping.wait(seconds)

    def run(self) -> int:
        """The exit code."""
        if self.argv[:1] == ["/bin/stub"]:
            return self._stub()
        if self.argv[:1] == ["printf"]:
            for line in self.argv[1].replace("\\n", "\n").splitlines():
                self.say(line)
            return 0
        if self.argv[:1] == ["sleep"]:
            self.stopping.wait(float(self.argv[1]))
            return TERMINATED if self.stopping.is_set() else 0
        raise FileNotFoundError(self.argv[0])

    def prepare(self, code: str, seconds: str, text: str = "") -> int:
        """A program run beside the server, as `prepare.sh`."""
        self.say("prepare: begins")
        if not self.sleep(float(seconds)):
            return TERMINATED
        self.state = text or self.state
        return int(code)

    def _stub(self) -> int:
        mode = self.env.get("MODE", "serve")
        self.say("stub: loading")
        if mode == "exit":
            self.say(self.env.get("LAST_WORDS", "stub: no such model"))
            return int(self.env.get("CODE", "1"))
        if mode == "silent":
            self.stopping.wait()
            return TERMINATED
        if mode == "ticking":
            tick = 0
            while self.sleep(0.2):
                tick += 1
                self.say(f"stub: tick {tick}")
            return TERMINATED
        return self._serve(mode)

    def _serve(self, mode: str) -> int:
        if not self.sleep(float(self.env.get("DELAY", "0"))):
            return TERMINATED
        self.say("stub: serving")
        died = threading.Event()
        with Server(self, mode, died):
            while not self.stopping.is_set() and not died.wait(0.02):
                pass
        if died.is_set():
            self.say("stub: fatal error")
            return 3
        return TERMINATED


class Server:
    """Answers at the published port while its context lasts; before, the Gate there hangs up on everybody."""

    def __init__(self, process: Process, mode: str, died: threading.Event) -> None:
        self._process, self._mode, self._died = process, mode, died

    def __enter__(self) -> None:
        if self._process.listen is not None:
            GATES[self._process.listen].handler = self._answer

    def __exit__(self, *_: object) -> None:
        if self._process.listen is not None and (gate := GATES.get(self._process.listen)):
            gate.handler = None

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        env, path = self._process.env, request.path
        length = int(request.headers.get("Content-Length") or 0)
        request.rfile.read(length)
        if path == "/health":
            return respond(request, 200, "ok")
        if path == "/v1/models":
            return respond(request, 200, env.get("MODELS", '{"data": []}'))
        if path == "/state" and self._process.state:
            return respond(request, 200, self._process.state)
        name = path.removeprefix("/cgi-bin/").upper()
        if name not in ANSWERS or name not in env:
            return respond(request, 404, "not found")
        if self._mode == "dies":
            self._died.set()
            request.close_connection = True
            return None
        if self._mode == "hangs":
            self._process.stopping.wait(60)
        if name == "SETUP":
            self._process.state = env.get("SETUP_LEAVES", "")
        return respond(request, int(env.get(f"{name}_STATUS", "200")), env[name])


def respond(request: http.server.BaseHTTPRequestHandler, status: int, text: str) -> None:
    data = text.encode()
    request.send_response(status)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)


class Gate(http.server.ThreadingHTTPServer):
    """A published port: there from the container's start to its end, whatever listens behind it."""

    daemon_threads = True
    handler: Callable[[http.server.BaseHTTPRequestHandler], None] | None = None

    def __init__(self, address: tuple[str, int]) -> None:
        self.allow_reuse_address = True
        super().__init__(address, GateHandler)
        self.key = address
        GATES[address] = self
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def end(self) -> None:
        GATES.pop(self.key, None)
        self.shutdown()
        self.server_close()


GATES: dict[tuple[str, int], Gate] = {}


class GateHandler(http.server.BaseHTTPRequestHandler):
    server: Gate

    def handle(self) -> None:
        if self.server.handler is not None:  # otherwise the connection just ends, as with docker-proxy
            super().handle()

    def do_GET(self) -> None:
        if self.server.handler is not None:
            self.server.handler(self)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass
