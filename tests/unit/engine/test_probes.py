"""The real request of each category, against a real HTTP server: what is asked, and what counts as an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.media import tone
from deployer.engine.model_request import DOCUMENTS, probe
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.errors import OperationError
from deployer.values.operations import Endpoint, Probe
from tests.support.fakeengine import FakeImage
from tests.support.fakehost import FakeHost

NAME = "p_one_0_0123456789ab"
NAMES = ("models", "chat", "completions", "embeddings", "rerank", "speech", "voices", "transcriptions", "images")
PATHS = {name: f"/{name}" for name in NAMES}
LISTED = {"data": [{"id": "tiny"}]}
VECTOR = {"data": [{"embedding": [0.1, -0.2] * 16}]}
SCORES = {"results": [{"index": 1, "relevance_score": -3.5}, {"index": 0, "relevance_score": 7.25}]}
PICTURE = {"data": [{"b64_json": "A" * 400}]}


class Model(BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, bytes]]
    asked: dict[str, bytes]

    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.asked[self.path] = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, answer = self.answers.get(self.path, (404, b"{}"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer)


class Place:
    """A model server and the host that it runs on."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.model = type("OneModel", (Model,), {"answers": {"/models": (200, _json(LISTED))}, "asked": {}})
        self.running = ThreadingHTTPServer(("127.0.0.1", 0), self.model)
        threading.Thread(target=self.running.serve_forever, daemon=True).start()
        secrets = SecretStore({}, SourceReader(Path("/"), {}), {})
        self.context = ApplyContext("p", None, "", secrets)
        self.vector: int | None = None

    def ask(self, category: str, **answers: object) -> str:
        given = {f"/{name}": a if isinstance(a, tuple) else (200, _json(a)) for name, a in answers.items()}
        self.model.answers.update(given)
        endpoint = Endpoint("127.0.0.1", self.running.server_address[1])
        operation = Probe(NAME, endpoint, category, ("tiny",), PATHS, timeout=10.0, vector=self.vector)
        return probe(operation, Site(self.context, self.host, Watch("s", "here", "")))

    def refusal(self, category: str, **answers: object) -> str:
        with pytest.raises(OperationError) as caught:
            self.ask(category, **answers)
        return caught.value.diagnostic.code

    def sent(self, name: str) -> Any:
        return json.loads(self.model.asked[f"/{name}"])


def _json(data: object) -> bytes:
    return data if isinstance(data, bytes) else json.dumps(data).encode()


@pytest.fixture
def place() -> Iterator[Place]:
    host = FakeHost()
    host.engine_state.images["stub:1"] = FakeImage("sha256:" + "1" * 64)
    host.engine_state.create(NAME, {"Image": "stub:1", "Env": ["MODE=silent"]})
    host.engine_state.start(NAME)
    made = Place(host)
    yield made
    made.running.shutdown()
    made.running.server_close()
    host.close()


def test_a_chat(place: Place) -> None:
    assert place.ask("llm", chat={"choices": [{"message": {"content": "I am ready."}}]}) == "I am ready."
    assert place.sent("chat")["messages"][0]["role"] == "user"
    assert place.context.completing == set()


def test_a_model_without_chat_template_is_told_from_its_answer_and_remembered(place: Place) -> None:
    refused = (400, b'{"error": {"message": "default chat template is no longer allowed"}}')
    assert place.ask("llm", chat=refused, completions={"choices": [{"text": "and then it rained"}]})
    assert place.context.completing == {("here", NAME)}


def test_an_embedding(place: Place) -> None:
    assert place.ask("embedding", embeddings=VECTOR) == "a vector of 32"
    assert place.sent("embeddings")["model"] == "tiny"
    zeros = {"data": [{"embedding": [0.0] * 32}]}
    assert place.refusal("embedding", embeddings=zeros) == "nonsense-answer"
    place.vector = 32
    assert place.ask("embedding", embeddings=VECTOR) == "a vector of 32"
    place.vector = 384
    assert place.refusal("embedding", embeddings=VECTOR) == "other-model"


def test_a_reranker_orders(place: Place) -> None:
    assert place.ask("reranker", rerank=SCORES) == "scores 7.25, -3.5"
    assert place.sent("rerank")["documents"] == list(DOCUMENTS)
    alike = {"results": [{"index": index, "relevance_score": 0.5} for index in range(2)]}
    assert place.refusal("reranker", rerank=alike) == "nonsense-answer"


def test_speech_is_sound_in_a_voice_that_the_server_has(place: Place) -> None:
    assert place.ask("text-to-speech", speech=tone(), voices={"voices": ["Ann"]}).endswith("bytes of sound")
    assert place.sent("speech")["voice"] == "Ann"
    assert place.refusal("text-to-speech", speech={"error": "no voice"}) == "nonsense-answer"


def test_speech_becomes_words(place: Place) -> None:
    assert place.ask("speech-to-text", transcriptions={"text": " Beep. "}) == "Beep."
    assert tone() in place.model.asked["/transcriptions"]
    assert place.refusal("speech-to-text", transcriptions=b"<html>") == "bad-answer"


def test_an_image(place: Place) -> None:
    assert place.ask("image", images=PICTURE) == "an image"
    assert place.sent("images")["model"] == "tiny"
    assert place.refusal("image", images={"data": []}) == "bad-answer"


@pytest.mark.parametrize("category", ["llm", "embedding", "reranker", "text-to-speech", "speech-to-text", "image"])
def test_every_category_fails_where_the_server_refuses_and_the_model_must_be_listed(
    place: Place, category: str
) -> None:
    refused = dict.fromkeys(NAMES[1:], (500, b'{"error": "out of order"}'))
    assert place.refusal(category, **refused) == "bad-answer"
    assert place.refusal(category, **refused, models={"data": [{"id": "another"}]}) == "model-not-listed"
