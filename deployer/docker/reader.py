"""Reads the Docker engine's JSON over a few kept connections, bounded in size and time. Writes nothing.

By http.client: importing the Docker SDK takes longer than all it would ask. Paths carry no version: the first round
trip asks everything at once, before the engine's versions are known, and readers take the shapes of all of them.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from typing import Any

from deployer.docker.shapes import text_of
from deployer.errors import Diagnostic, DockerError, HostError
from deployer.formats.text import one_line
from deployer.values.codec import parse_json

MAX_ANSWER = 64 << 20
CHUNK = 1 << 18


class EngineRefusal(DockerError):
    """The engine is there, and what it said at one path is an error or nonsense: `why`, in its words."""

    def __init__(self, diagnostic: Diagnostic, why: str) -> None:
        super().__init__(diagnostic)
        self.why = why


class EngineReader:
    """Safe to use from several threads. `open_connection` makes a connection, which connects when told to."""

    def __init__(
        self, host: str, open_connection: Callable[[], http.client.HTTPConnection], channels: int, timeout: float
    ) -> None:
        self._host = host
        self._open_connection = open_connection
        self._channels = channels  # how many there may be
        self._opened = 0
        self._refusal: HostError | None = None
        self._idle: list[http.client.HTTPConnection] = []
        self._changed = threading.Condition()
        self._deadline = time.monotonic() + timeout

    def get(self, path: str, *, absent: Any = None) -> Any:
        """The JSON at `path`; `absent` where the engine says 404. EngineRefusal where it says no, else HostError."""
        connection = self._take()
        try:
            status, body = self._exchange(connection, path)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._drop(connection)
            raise self._unreadable(path, one_line(str(error)) or type(error).__name__) from None
        except BaseException:
            self._drop(connection)
            raise
        self._give(connection)
        return self._parsed(path, status, body, absent)

    def close(self) -> None:
        with self._changed:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> http.client.HTTPConnection:
        """An idle connection, a new one while there may be more, else the next that gets idle."""
        while True:
            with self._changed:
                if self._idle:
                    return self._idle.pop()
                if self._refusal is not None:
                    raise self._refusal
                if self._opened >= self._channels:
                    if not self._changed.wait(self._left()):
                        raise self._unreadable("/", "no answer in time")
                    continue
                self._opened += 1
            try:
                return self._connected()
            except HostError as error:
                self._refused(error)

    def _refused(self, error: HostError) -> None:
        """A host may allow fewer channels than we would like; one is enough, none is why it cannot be read."""
        with self._changed:
            self._opened -= 1
            self._channels = self._opened
            if self._opened == 0:
                self._refusal = error
            self._changed.notify_all()

    def _connected(self) -> http.client.HTTPConnection:
        connection = self._open_connection()
        connection.timeout = min(20.0, self._left())
        try:
            connection.connect()
        except OSError as error:
            raise self._unreadable("/", one_line(str(error)) or type(error).__name__) from None
        return connection

    def _give(self, connection: http.client.HTTPConnection) -> None:
        with self._changed:
            if connection.sock is None:  # the engine asked to close it
                self._opened -= 1
            else:
                self._idle.append(connection)
            self._changed.notify()

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        with self._changed:
            self._opened -= 1
            self._changed.notify()

    def _left(self) -> float:
        return max(0.1, self._deadline - time.monotonic())

    def _exchange(self, connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
        connection.sock.settimeout(self._left())
        connection.request("GET", path, headers={"Host": "docker", "Accept": "application/json"})
        response = connection.getresponse()
        body = bytearray()
        while chunk := response.read1(CHUNK):
            body += chunk
            if len(body) > MAX_ANSWER:
                raise ValueError(f"longer than {MAX_ANSWER >> 20} MiB")
            if time.monotonic() > self._deadline:
                raise ValueError("no whole answer in time")
        if not response.isclosed():
            response.close()
        return response.status, bytes(body)

    def _parsed(self, path: str, status: int, body: bytes, absent: Any) -> Any:
        if status == 404:
            return absent
        try:
            data = parse_json(body, MAX_ANSWER)
        except ValueError as error:
            raise self._refused_answer(path, one_line(str(error))) from None
        if status != 200:
            words = text_of(data, "message") if isinstance(data, dict) else ""
            raise self._refused_answer(path, f"HTTP {status} {one_line(words)}".strip())
        return data

    def _refused_answer(self, path: str, why: str) -> EngineRefusal:
        return EngineRefusal(self._unreadable(path, why).diagnostic, why)

    def _unreadable(self, path: str, why: str) -> DockerError:
        return DockerError(
            Diagnostic(
                "docker-unreadable",
                f"host `{self._host}`: Docker does not answer `GET {one_line(path, 80)}`: {why}",
                host=self._host,
                hint="check `systemctl status docker` and the user's rights on the host",
            )
        )
