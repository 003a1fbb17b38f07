"""One HTTP exchange with a model server over its host's connection: bounded, reported, and left when the user asks."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

from deployer.dataclass import dataclass
from deployer.engine.container_log import last_line
from deployer.engine.context import Site, failed
from deployer.engine.media import Payload
from deployer.transport.base import Transport
from deployer.values.operations import Endpoint

MAX_BODY = 4 << 20
LOOK_EVERY = 0.25  # seconds between looks at whether to go on
SAY_EVERY = 10.0


class BrokenOff(Exception):
    """The connection ended instead of an answer."""


@dataclass(frozen=True, slots=True)
class Question:
    """`container` is whose last log line is shown while the answer is waited for. Seconds."""

    container: str
    endpoint: Endpoint
    method: str
    path: str
    body: dict[str, Any] | Payload | None
    timeout: float


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes


def exchange(question: Question, site: Site) -> Reply:
    """TimeoutError when no answer came in time, BrokenOff when the connection ended, HostError, Abandoned."""
    connection = site.transport.http(question.endpoint.address, question.endpoint.port, timeout=question.timeout)
    try:
        return _beside(lambda: _send(connection, question, _headers(question, site)), connection, question, site)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOff(type(error).__name__) from None
    finally:
        connection.close()


def is_up(status: int) -> bool:
    """What a health path answers where the server is up: one that wants a key before it says anything is."""
    return 200 <= status < 300 or status in (401, 403)


def status_of(transport: Transport, endpoint: Endpoint, path: str, timeout: float) -> int:
    """The HTTP status of one GET, whatever follows it. TimeoutError unless it came in time, as a whole; else what
    `Transport.http` raises, OSError or HTTPException."""
    connection = transport.http(endpoint.address, endpoint.port, timeout=timeout)
    overdue = threading.Event()

    def end() -> None:
        overdue.set()
        _hang_up(connection)

    timer = threading.Timer(timeout, end)
    timer.daemon = True
    timer.start()
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        status = connection.getresponse().status
        if overdue.is_set():  # headers that were cut off look like headers that ended
            raise TimeoutError
        return status
    except (OSError, http.client.HTTPException):
        if overdue.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        connection.close()


def _send(connection: http.client.HTTPConnection, question: Question, headers: dict[str, str]) -> Reply:
    body = question.body
    data = body.content if isinstance(body, Payload) else json.dumps(body).encode() if body is not None else None
    connection.request(question.method, question.path, data, headers)
    response = connection.getresponse()
    return Reply(response.status, response.read(MAX_BODY))


def _beside(send: Callable[[], Reply], connection: http.client.HTTPConnection, question: Question, site: Site) -> Reply:
    """Runs `send` in a thread of its own, so that the wait can speak and can be left."""
    result: list[Reply | Exception] = []
    done = threading.Event()

    def run() -> None:
        try:
            result.append(send())
        except Exception as error:
            result.append(error)
        done.set()

    threading.Thread(target=run, name=f"ask {question.container}", daemon=True).start()
    try:
        _wait(done, question, site)
    except BaseException:
        _hang_up(connection)
        raise
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


def _wait(done: threading.Event, question: Question, site: Site) -> None:
    clock = site.context.clock
    began = said = clock()
    while not done.wait(LOOK_EVERY):
        site.watch.pause(0)
        now = clock()
        if now - began > question.timeout:
            raise TimeoutError
        if now - said >= SAY_EVERY:
            said = now
            site.watch.waiting(now - began, question.timeout, last_line(site, question.container)[1])


def _hang_up(connection: http.client.HTTPConnection) -> None:
    """Wakes the thread that waits for the answer."""
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _headers(question: Question, site: Site) -> dict[str, str]:
    headers = {"Connection": "close", "Accept": "application/json"}
    if isinstance(question.body, Payload):
        headers["Content-Type"] = question.body.content_type
    elif question.body is not None:
        headers["Content-Type"] = "application/json"
    if question.endpoint.api_key is not None:
        headers["Authorization"] = bearer(site, question.endpoint.api_key)
    return headers


def bearer(site: Site, secret: str) -> str:
    value = site.context.secrets.value(secret, site.host).reveal()
    if not all("!" <= char <= "~" for char in value):
        raise failed("bad-api-key", f"secret `{secret}` cannot be an API key", "use visible ASCII without blanks")
    return f"Bearer {value}"
