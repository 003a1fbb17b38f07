"""An answer as it comes: streamed or whole, and nothing in it that a terminal would obey."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.conversation import Wish, converse, plain
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.errors import OperationError
from deployer.spec.language import Host
from deployer.transport.local import LocalTransport
from deployer.values.operations import Endpoint, Probe

PATHS = {"chat": "/chat", "completions": "/complete", "embeddings": "/embed"}


class Model(BaseHTTPRequestHandler):
    """Answers each path with what a test put there; `asked` is what came."""

    answers: dict[str, tuple[int, bytes]]
    asked: list[tuple[str, dict[str, Any]]]

    def log_message(self, format: str, *args: object) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        status, answer = self.answers.get(self.path, (404, b"{}"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def server() -> Iterator[tuple[type[Model], int]]:
    model = type("OneModel", (Model,), {"answers": {}, "asked": []})
    running = ThreadingHTTPServer(("127.0.0.1", 0), model)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield model, running.server_address[1]
    running.shutdown()
    running.server_close()


def ask(port: int, category: str = "llm", seconds: float = 5.0, **wish: Any) -> str:
    secrets = SecretStore({}, SourceReader(Path("/"), {}), {})
    host = LocalTransport("here", Host.model_validate({"connection": "local"}))
    site = Site(ApplyContext("p", None, "", secrets), host, Watch("s", "here", ""))
    probe = Probe("c", Endpoint("127.0.0.1", port), category, ("tiny",), PATHS)
    return "".join(converse(probe, Wish("hello", seconds=seconds, **wish), site))


def events(*texts: str) -> bytes:
    lines = [json.dumps({"choices": [{"delta": {"content": text}}]}) for text in texts]
    return "".join(f"data: {line}\n\n" for line in lines).encode() + b"data: [DONE]\n\n"


def test_a_chat_comes_in_pieces(server: tuple[type[Model], int]) -> None:
    model, port = server
    model.answers["/chat"] = (200, events("The capital ", "is", " Paris."))
    assert ask(port, system="Be short.", max_tokens=9) == "The capital is Paris."
    ((_, body),) = model.asked
    assert body["messages"] == [{"role": "system", "content": "Be short."}, {"role": "user", "content": "hello"}]
    assert (body["model"], body["max_tokens"], body["stream"]) == ("tiny", 9, True)


def test_thoughts_are_waited_for_and_not_printed(server: tuple[type[Model], int]) -> None:
    model, port = server
    thinking = b'data: {"choices": [{"delta": {"content": null, "reasoning_content": "a capital..."}}]}\n\n'
    model.answers["/chat"] = (200, thinking + events("Paris."))
    assert ask(port) == "Paris."


@pytest.mark.parametrize(
    ("delta", "what"),
    [
        ({"content": ""}, "the model answered nothing"),
        ({"reasoning": "hm, hm"}, "the model thought for 6 characters and answered nothing"),
    ],
)
def test_no_word_is_said_to_be_none(server: tuple[type[Model], int], delta: dict[str, Any], what: str) -> None:
    model, port = server
    model.answers["/chat"] = (200, b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n")
    with pytest.raises(OperationError) as raised:
        ask(port)
    assert (raised.value.diagnostic.code, raised.value.diagnostic.message) == ("empty-answer", what)


def test_a_model_without_a_chat_template_continues_a_text(server: tuple[type[Model], int]) -> None:
    model, port = server
    model.answers["/chat"] = (400, b'{"error": {"message": "this model has no chat template"}}')
    model.answers["/complete"] = (200, b'data: {"choices": [{"text": " world"}]}\n\ndata: [DONE]\n\n')
    assert ask(port) == " world"


def test_a_server_that_does_not_stream(server: tuple[type[Model], int]) -> None:
    model, port = server
    model.answers["/chat"] = (200, b'{"choices": [{"message": {"content": "whole"}}]}')
    assert ask(port) == "whole"


def test_an_embedding_is_its_vector(server: tuple[type[Model], int]) -> None:
    model, port = server
    model.answers["/embed"] = (200, b'{"data": [{"embedding": [0.5, 1.0]}]}')
    assert json.loads(ask(port, "embedding")) == [0.5, 1.0]


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [
        (500, b"out of memory", "bad-answer"),
        (401, b"no", "key-refused"),
        (200, b'data: {"error": {"message": "out of memory"}}\n\n', "bad-answer"),
    ],
)
def test_a_refusal_is_an_error(server: tuple[type[Model], int], status: int, answer: bytes, code: str) -> None:
    model, port = server
    model.answers["/chat"] = (status, answer)
    with pytest.raises(OperationError) as caught:
        ask(port)
    assert caught.value.diagnostics[0].code == code


def test_nothing_that_a_terminal_would_obey_is_printed() -> None:
    assert plain("a\x1b[2Jb\x07\u202ec\r\n\td") == "a[2Jbc\n\td"


class Chatterer(Model):
    """Keeps the connection alive, and says nothing."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1000):
                self.wfile.write(b": ping\n\n")
                self.wfile.flush()
                time.sleep(0.02)


def test_a_server_that_only_keeps_the_connection_alive_is_left() -> None:
    running = ThreadingHTTPServer(("127.0.0.1", 0), Chatterer)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    with pytest.raises(OperationError) as caught:
        ask(running.server_address[1], seconds=0.5)
    assert caught.value.diagnostics[0].code == "no-answer"
    running.shutdown()
    running.server_close()
