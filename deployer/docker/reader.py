"""Reads the Docker engine's JSON over one connection, bounded in size and time. Writes nothing.

Paths carry no version: the first round trip asks everything at once, before the engine's versions are known, and
readers take the shapes of all of them.
"""

from __future__ import annotations

import http.client
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from deployer.docker.shapes import text_of
from deployer.docker.wire import MAX_ANSWER, Answer, Wire
from deployer.errors import Diagnostic, DockerError
from deployer.formats.text import one_line
from deployer.values.codec import parse_json

AHEAD = 16  # questions that have no answer yet


class EngineRefusal(DockerError):
    """The engine is there, and what it said at one path is an error or nonsense: `why`, in its words."""

    def __init__(self, diagnostic: Diagnostic, why: str) -> None:
        super().__init__(diagnostic)
        self.why = why


class EngineReader:
    """For one thread. `open_connection` makes a connection, which connects when told to."""

    def __init__(self, host: str, open_connection: Callable[[], http.client.HTTPConnection], timeout: float) -> None:
        self._host = host
        self._open_connection = open_connection
        self._wire: Wire | None = None
        self._ahead = AHEAD
        self._deadline = time.monotonic() + timeout

    def get(self, path: str, *, absent: Any = None) -> Any:
        """The JSON at `path`; `absent` where the engine says 404. EngineRefusal where it says no, else HostError."""
        return self.data(next(self.read([path])), absent=absent)

    def read(self, paths: Sequence[str]) -> Iterator[Answer]:
        """What the engine says at each path, in their order; HostError when it says nothing."""
        todo, asked = deque(paths), deque[str]()
        while todo or asked:
            try:
                answer = self._next(todo, asked)
            except BaseException:
                self.close()
                raise
            if answer is None or answer.is_last:  # what was asked ahead of it is asked again
                self.close()
                todo.extendleft(reversed(asked))
                asked.clear()
            if answer is not None:
                yield answer

    def _next(self, todo: deque[str], asked: deque[str]) -> Answer | None:
        """The next answer, with questions asked ahead; None where the engine hung up because of these."""
        path = (asked or todo)[0]
        try:
            wire = self._connected()
            while todo and len(asked) < self._ahead:
                asked.append(todo.popleft())
                wire.ask(asked[-1])
            answer = wire.answer(path)
        except ConnectionError as error:
            if len(asked) < 2:
                raise self._unreadable(path, one_line(str(error)) or type(error).__name__) from None
            self._ahead = 1
            return None
        except TimeoutError:
            raise self._unreadable(path, "no whole answer in time") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._unreadable(path, one_line(str(error)) or type(error).__name__) from None
        asked.popleft()
        return answer

    def data(self, answer: Answer, *, absent: Any = None) -> Any:
        """The JSON of an answer; `absent` where the engine said 404. EngineRefusal for anything else."""
        if answer.status == 404:
            return absent
        try:
            data = parse_json(answer.body, MAX_ANSWER)
        except ValueError as error:
            raise self._refused(answer, one_line(str(error))) from None
        if answer.status != 200:
            words = text_of(data, "message") if isinstance(data, dict) else ""
            raise self._refused(answer, f"HTTP {answer.status} {one_line(words)}".strip())
        return data

    def close(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _connected(self) -> Wire:
        if self._wire is None:
            connection = self._open_connection()
            connection.timeout = min(20.0, max(0.1, self._deadline - time.monotonic()))
            connection.connect()
            self._wire = Wire(connection.sock, self._deadline)
        return self._wire

    def _refused(self, answer: Answer, why: str) -> EngineRefusal:
        return EngineRefusal(self._unreadable(answer.path, why).diagnostic, why)

    def _unreadable(self, path: str, why: str) -> DockerError:
        return DockerError(
            Diagnostic(
                "docker-unreadable",
                f"host `{self._host}`: Docker does not answer `GET {one_line(path, 80)}`: {why}",
                host=self._host,
                hint="check `systemctl status docker` and the user's rights on the host",
            )
        )
