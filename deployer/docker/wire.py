"""HTTP/1.1 as far as reading Docker's engine takes it: questions go ahead, answers come in their order.

http.client asks one question at a time and reads every head as an e-mail, which takes longer than the engine needs to
answer. Bounded in size and time: ValueError for what is no HTTP or too much, OSError where the stream fails.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, BinaryIO

from deployer.dataclass import dataclass

MAX_ANSWER = 64 << 20
LONGEST_LINE = 65536
MOST_HEADERS = 100
CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by name in lower case; `is_last`: the engine closes the connection after it."""

    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    is_last: bool = False


class Wire:
    """One connection: a stream as the transports have it. `deadline` is of time.monotonic()."""

    def __init__(self, stream: Any, deadline: float) -> None:
        self._stream = stream
        self._file: BinaryIO = stream.makefile("rb")
        self._deadline = deadline

    def ask(self, path: str) -> None:
        if not path.isascii() or not path.isprintable() or " " in path:
            raise ValueError("no path of an engine's API")
        self._stream.settimeout(self._left())
        self._stream.sendall(f"GET {path} HTTP/1.1\r\nHost: docker\r\nAccept: application/json\r\n\r\n".encode())

    def answer(self, path: str) -> Answer:
        """The answer to the first question that has none yet, which was for `path`."""
        version, _, rest = self._line().partition(" ")
        status = rest[:3]
        if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit()):
            raise ValueError("the answer is no HTTP")
        headers = self._headers()
        closes = headers.get("connection", "keep-alive" if version == "HTTP/1.1" else "close").lower() == "close"
        body = self._body(int(status), headers)
        return Answer(path, int(status), headers, body, closes or not _has_end(int(status), headers))

    def _headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.partition(":")
            found[name.lower()] = value.strip()
            if len(found) > MOST_HEADERS:
                raise ValueError("the answer has too many headers")
        return found

    def _body(self, status: int, headers: Mapping[str, str]) -> bytes:
        body = bytearray()
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := _number(self._line().partition(";")[0].strip(), 16):
                self._read(size, body)
                self._line()
            self._headers()
        elif "transfer-encoding" in headers:
            raise ValueError("the answer is encoded in a way that Docker does not use")
        elif not _has_end(status, headers):
            self._read(MAX_ANSWER + 1, body, to_the_end=True)
        elif status not in (204, 304):
            self._read(_number(headers["content-length"], 10), body)
        return bytes(body)

    def _line(self) -> str:
        self._stream.settimeout(self._left())
        line = self._file.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise ValueError("a line of the answer is too long") if len(line) == LONGEST_LINE else cut_short()
        return line.decode("latin-1").rstrip("\r\n")

    def _read(self, size: int, into: bytearray, *, to_the_end: bool = False) -> None:
        if len(into) + size > MAX_ANSWER and not to_the_end:
            raise ValueError(f"longer than {MAX_ANSWER >> 20} MiB")
        while size:
            self._stream.settimeout(self._left())
            data = self._file.read1(min(size, CHUNK))  # type: ignore[attr-defined]
            if not data:
                if to_the_end:
                    return
                raise cut_short()
            into += data
            size -= len(data)
        if to_the_end:
            raise ValueError(f"longer than {MAX_ANSWER >> 20} MiB")

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        return left

    def close(self) -> None:
        self._file.close()
        self._stream.close()


def _has_end(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer ends by what it says itself, and not with its connection."""
    return status in (204, 304) or "content-length" in headers or "transfer-encoding" in headers


def _number(text: str, base: int) -> int:
    if not text.isascii() or not text.isalnum() or len(text) > 16:
        raise ValueError("the answer is no HTTP: no size")
    return int(text, base)


def cut_short() -> ConnectionError:
    return ConnectionResetError("the answer is cut short")
