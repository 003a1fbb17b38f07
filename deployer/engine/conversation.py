"""Asks a model and gives its answer piece by piece as it comes. What the model says is hostile to a terminal."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from deployer.dataclass import dataclass
from deployer.engine.context import Site, failed
from deployer.engine.model_http import MAX_BODY, Reply, bearer
from deployer.engine.model_request import lacks_chat_template
from deployer.engine.redaction import HIDDEN
from deployer.errors import OperationError
from deployer.values.operations import Probe

MAX_ANSWER = 4 << 20  # characters
MAX_EVENT = 1 << 20  # bytes of one event
KEPT = "\n\t"
EVIDENCE = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """`seconds`: the longest wait for the next piece."""

    prompt: str
    system: str | None = None
    max_tokens: int | None = None
    seconds: float = 120.0


def converse(asked: Probe, wish: Wish, site: Site) -> Iterator[str]:
    """The answer to one prompt, without control characters. Asks for a chat, and for a completion where the model has
    no chat template. OperationError where there is no answer."""
    if asked.category == "embedding":
        yield from _embedding(asked, wish, site)
        return
    path = asked.paths.get("chat")
    if path is not None:
        response, connection = _post(asked, path, _chat(asked, wish), wish, site)
        if response.status == 200:
            yield from _pieces(response, connection, wish)
            return
        reply = Reply(response.status, _whole(response, connection))
        if not lacks_chat_template(reply) or "completions" not in asked.paths:
            raise _refused(asked, path, reply.status, reply.body, site)
    path = asked.paths.get("completions")
    if path is None:
        what = f"a model of category `{asked.category}` cannot be asked a question"
        raise failed("no-such-request", what, "`deployer status -v` prints a request that it can answer")
    response, connection = _post(asked, path, _completion(asked, wish), wish, site)
    if response.status != 200:
        raise _refused(asked, path, response.status, _whole(response, connection), site)
    yield from _pieces(response, connection, wish)


def _embedding(asked: Probe, wish: Wish, site: Site) -> Iterator[str]:
    path = asked.paths.get("embeddings", "/v1/embeddings")
    response, connection = _post(asked, path, {**_model(asked), "input": wish.prompt}, wish, site)
    body = _whole(response, connection)
    if response.status != 200:
        raise _refused(asked, path, response.status, body, site)
    with suppress(ValueError, KeyError, IndexError, TypeError):
        yield json.dumps(json.loads(body)["data"][0]["embedding"])
        return
    raise failed("bad-answer", "the answer holds no embedding", "`deployer verify` tells more")


def _model(asked: Probe) -> dict[str, Any]:
    return {"model": asked.models[0]} if asked.models else {}


def _chat(asked: Probe, wish: Wish) -> dict[str, Any]:
    system = [{"role": "system", "content": wish.system}] if wish.system else []
    return {**_options(asked, wish), "messages": [*system, {"role": "user", "content": wish.prompt}]}


def _completion(asked: Probe, wish: Wish) -> dict[str, Any]:
    return {**_options(asked, wish), "prompt": wish.prompt}


def _options(asked: Probe, wish: Wish) -> dict[str, Any]:
    limit = {"max_tokens": wish.max_tokens} if wish.max_tokens is not None else {}
    return {**_model(asked), "stream": True, **limit}


@dataclass(frozen=True, slots=True)
class Connection:
    """`wire`: the socket, which http.client gives away with the answer."""

    http: http.client.HTTPConnection
    wire: socket.socket

    def close(self) -> None:
        self.http.close()


def _post(
    asked: Probe, path: str, body: dict[str, Any], wish: Wish, site: Site
) -> tuple[http.client.HTTPResponse, Connection]:
    headers = {"Content-Type": "application/json", "Connection": "close"}
    if asked.endpoint.api_key is not None:
        headers["Authorization"] = bearer(site, asked.endpoint.api_key)
    connection = site.transport.http(asked.endpoint.address, asked.endpoint.port, timeout=wish.seconds)
    try:
        connection.request("POST", path, json.dumps(body).encode(), headers)
        wire = connection.sock
        return connection.getresponse(), Connection(connection, wire)
    except TimeoutError:
        connection.close()
        raise _silent(wish) from None
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        what = f"the server broke off at {path}: {type(error).__name__}"
        raise failed("request-broken", what, "`deployer logs` shows what it said") from None


def _pieces(response: http.client.HTTPResponse, connection: Connection, wish: Wish) -> Iterator[str]:
    """Server-sent events, or one JSON answer of a server that does not stream. Thoughts are waited for, not printed."""
    said, thought, patience = 0, 0, Patience(wish.seconds, connection)
    try:
        for event in _events(response, wish, patience):
            text, thinking = _text_of(event), _thoughts_of(event)
            said, thought = said + len(text), thought + len(thinking)
            if said + thought > MAX_ANSWER:
                what = f"the answer is longer than {MAX_ANSWER} characters"
                raise failed("answer-too-long", what, "ask for less with `--max-tokens`")
            if text:
                yield plain(text)
            if text or thinking:
                patience.renew()
        if not said:
            raise _wordless(thought)
    finally:
        patience.end()
        response.close()
        connection.close()


class Patience:
    """Hangs up where a server keeps the connection alive and says nothing."""

    def __init__(self, seconds: float, connection: Connection) -> None:
        self._seconds, self._connection = seconds, connection
        self._over = False
        self._timer = self._started()

    def _started(self) -> threading.Timer:
        timer = threading.Timer(self._seconds, self._hang_up)
        timer.daemon = True
        timer.start()
        return timer

    def _hang_up(self) -> None:
        self._over = True
        with suppress(OSError, AttributeError):
            self._connection.wire.shutdown(socket.SHUT_RDWR)

    @property
    def is_over(self) -> bool:
        return self._over

    def renew(self) -> None:
        self._timer.cancel()
        self._timer = self._started()

    def end(self) -> None:
        self._timer.cancel()


def _whole(response: http.client.HTTPResponse, connection: Connection) -> bytes:
    """An answer that is no stream; what breaks off is short."""
    try:
        return response.read(MAX_BODY)
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        response.close()
        connection.close()


def _events(response: http.client.HTTPResponse, wish: Wish, patience: Patience) -> Iterator[Any]:
    while True:
        try:
            line = response.readline(MAX_EVENT)
        except TimeoutError:
            raise _silent(wish) from None
        except (OSError, http.client.HTTPException) as error:
            if patience.is_over:
                raise _silent(wish) from None
            what = f"the answer broke off: {type(error).__name__}"
            raise failed("request-broken", what, "`deployer logs` shows what the server said") from None
        if patience.is_over:
            raise _silent(wish)
        if not line:
            return
        data = line.strip().removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        with suppress(ValueError, RecursionError):
            yield json.loads(data)


def _text_of(event: Any) -> str:
    """What an event adds to the answer: of a chat or a completion, streamed or whole."""
    if isinstance(event, dict) and event.get("error"):
        error = event["error"]
        said = error.get("message") if isinstance(error, dict) else error
        raise failed("bad-answer", f"the server says: {plain(str(said))[:EVIDENCE]}", "correct the request as it says")
    return _first_of(event, "content", "text")


def _thoughts_of(event: Any) -> str:
    """What a reasoning parser took out of the answer: `reasoning_content`, or `reasoning` in later vLLM."""
    return _first_of(event, "reasoning_content", "reasoning")


def _first_of(event: Any, *keys: str) -> str:
    choices = event.get("choices") if isinstance(event, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else {}
    if not isinstance(first, dict):
        return ""
    sources = [source for source in (first.get("delta"), first.get("message"), first) if isinstance(source, dict)]
    texts = (source.get(key) for source in sources for key in keys)
    return next((text for text in texts if isinstance(text, str)), "")


def plain(text: str) -> str:
    """Without what a terminal would obey; lines and tabs stay."""
    import unicodedata

    return "".join(c for c in text if c in KEPT or unicodedata.category(c) not in HIDDEN)


def _refused(asked: Probe, path: str, status: int, body: bytes, site: Site) -> OperationError:
    evidence = (site.words(body),)
    if status in (401, 403):
        return failed(
            "key-refused", f"the server refuses the API key: HTTP {status}", "correct `options.api_key`", evidence
        )
    return failed(
        "bad-answer", f"the server answers {path} with HTTP {status}", "correct the request as it says", evidence
    )


def _wordless(thought: int) -> OperationError:
    what = (
        f"the model thought for {thought} characters and answered nothing" if thought else "the model answered nothing"
    )
    return failed("empty-answer", what, "allow a longer answer with `--max-tokens`, or ask something else")


def _silent(wish: Wish) -> OperationError:
    return failed("no-answer", f"the model said nothing for {wish.seconds:g} s", "`deployer verify` tells more")
