"""The program that launches Xinference's models at each start, against a server that answers as Xinference does."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[3] / "templates" / "xinference.start.py"
MODELS = {
    "bge-m3": {"model_name": "bge-m3", "model_type": "embedding"},
    "chat": {"model_name": "qwen", "model_type": "LLM", "model_engine": "vLLM", "gpu_idx": "0,1", "n_gpu": "none"},
}


@dataclass
class Xinference:
    """`refusals`: how many launches it refuses before it takes one."""

    folder: Path
    launched: list[dict[str, Any]] = field(default_factory=list)
    refusals: int = 0
    seconds: float = 0.0
    most_at_once: int = 0
    at_once: int = 0
    port: int = 0

    def launch(self, request: dict[str, Any]) -> tuple[int, Any]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.seconds)
        self.at_once -= 1
        if any(known["model_uid"] == request["model_uid"] for known in self.launched):
            return 400, {"detail": f"Model is already in the model list, uid: {request['model_uid']}"}
        if self.refusals:
            self.refusals -= 1
            return 503, {"detail": "No available slot found for the model"}
        self.launched.append(request)
        return 200, {"model_uid": request["model_uid"]}

    @property
    def environment(self) -> dict[str, str]:
        paths = {"MODELS": "models.json", "LOCK": "lock", "LOG": "log"}
        return {f"DEPLOYER_{name}": str(self.folder / path) for name, path in paths.items()}

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(PROGRAM), *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30, check=False)

    def start(self, *command: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-u", str(PROGRAM), *command]
        return subprocess.Popen(
            words, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Xinference]:
    state = Xinference(tmp_path)

    class Api(BaseHTTPRequestHandler):
        def answer(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self.answer(200, {"object": "list", "data": [{"id": known["model_uid"]} for known in state.launched]})

        def do_POST(self) -> None:
            assert self.path == "/v1/models?wait_ready=true"
            self.answer(*state.launch(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as httpd:
        state.port = httpd.server_address[1]
        wanted = {"endpoint": f"http://127.0.0.1:{state.port}", "models": MODELS}
        (tmp_path / "models.json").write_text(json.dumps(wanted))
        threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        httpd.shutdown()


def eventually(what: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def uids(server: Xinference) -> list[str]:
    return [request["model_uid"] for request in server.launched]


def test_every_start_launches_all_models(server: Xinference) -> None:
    for _ in range(2):
        server.launched.clear()
        with server.start("sleep", "60") as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in MODELS]
            process.terminate()
            process.communicate(timeout=10)
        assert uids(server) == ["bge-m3", "chat"]
        assert said == [f"deployer: model `{name}` is launched\n" for name in MODELS]


def test_its_words_become_a_request(server: Xinference) -> None:
    server.run("--launch", "chat")
    (request,) = server.launched
    assert (request["gpu_idx"], request["n_gpu"], request["model_engine"]) == ([0, 1], None, "vLLM")


def test_a_model_that_is_there_is_not_launched_twice(server: Xinference) -> None:
    assert server.run("--launch", "bge-m3").returncode == 0
    assert server.run("--launch", "bge-m3").returncode == 0
    assert uids(server) == ["bge-m3"]


def test_a_launch_that_fails_is_told(server: Xinference) -> None:
    server.refusals = 1
    assert server.run("--launch", "bge-m3").returncode == 1
    assert server.launched == []
    assert (
        server.log == "deployer: model `bge-m3` cannot be launched: HTTP 503: No available slot found for the model\n"
    )


def test_what_fails_at_a_start_is_tried_again(server: Xinference) -> None:
    server.refusals = 1
    with server.start("sleep", "60") as process:
        eventually(lambda: len(server.launched) == len(MODELS))
        process.terminate()
        said, _ = process.communicate(timeout=10)
    assert "model `bge-m3` cannot be launched: HTTP 503: No available slot found for the model" in said


def test_one_launch_at_a_time_whoever_asks(server: Xinference) -> None:
    server.seconds = 0.3
    with server.start("sleep", "60") as process:
        for _ in range(3):
            assert server.run("--launch", "chat").returncode == 0
        eventually(lambda: len(server.launched) == len(MODELS))
        process.terminate()
        process.communicate(timeout=10)
    assert server.most_at_once == 1
    assert sorted(uids(server)) == ["bge-m3", "chat"]


def test_a_server_that_is_not_up_is_waited_for(server: Xinference) -> None:
    wanted = json.loads((server.folder / "models.json").read_text())
    (server.folder / "models.json").write_text(json.dumps(wanted | {"endpoint": "http://127.0.0.1:9"}))
    with server.start("sleep", "60") as process:
        time.sleep(0.5)
        (server.folder / "next.json").write_text(json.dumps(wanted))
        (server.folder / "next.json").replace(server.folder / "models.json")
        eventually(lambda: len(server.launched) == len(MODELS))
        process.terminate()
        said, _ = process.communicate(timeout=10)
    assert "cannot" not in said


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("sleep 0.1 & sleep 0.4", 0)])
def test_it_ends_as_its_server_does(server: Xinference, script: str, code: int) -> None:
    assert server.run("sh", "-c", script).returncode == code


def test_a_signal_reaches_the_server(server: Xinference) -> None:
    with server.start("sh", "-c", "trap 'echo stopped; exit 5' TERM; echo up; while :; do sleep 0.05; done") as process:
        assert process.stdout is not None
        while process.stdout.readline() != "up\n":
            pass
        process.terminate()
        said, _ = process.communicate(timeout=10)
    assert process.returncode == 5
    assert "stopped" in said
