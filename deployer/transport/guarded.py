"""The Docker SDK with its changes sent another way; what only reads goes as before. Imported late (heavy)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import docker
import requests
from docker.transport.basehttpadapter import BaseHTTPAdapter

from deployer.dataclass import dataclass
from deployer.transport.engine import TIMEOUT

READS = ("GET", "HEAD")
SCHEME = "http+docker://"


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """`kind`: the body's content type; empty without a body. `seconds`: the longest wait for the answer."""

    method: str
    path: str
    kind: str
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    status: int
    body: bytes


Send = Callable[[EngineRequest], EngineAnswer | None]


class GuardedAdapter(BaseHTTPAdapter):  # type: ignore[misc]
    def __init__(self, inner: Any, send: Send) -> None:
        self._inner, self._send = inner, send
        super().__init__()

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if request.method in READS:
            return self._inner.send(request, *args, **kwargs)
        answer = self._send(sent(request, kwargs.get("timeout")))
        if answer is None:
            return self._inner.send(request, *args, **kwargs)
        response = requests.Response()
        response.status_code, response.url, response.request = answer.status, request.url, request
        response._content = answer.body
        return response

    def close(self) -> None:
        pass  # the streams are the client's that this one was made from


def sent(request: Any, timeout: object) -> EngineRequest:
    body = request.body or b""
    data = body.encode() if isinstance(body, str) else bytes(body)
    kind = str(request.headers.get("Content-Type") or "application/octet-stream") if data else ""
    seconds = float(timeout) if isinstance(timeout, int | float) else TIMEOUT
    return EngineRequest(str(request.method), str(request.path_url), kind, data, seconds)


def guarded(client: docker.APIClient, send: Send) -> docker.APIClient:
    """A client like this one whose changes go by `send`, or as before where that gives None."""
    found = object.__new__(type(client))
    found.__dict__.update(client.__dict__)
    found.adapters = OrderedDict(client.adapters)
    found._custom_adapter = GuardedAdapter(client.get_adapter(SCHEME + "localhost"), send)
    found.mount(SCHEME, found._custom_adapter)
    return found
