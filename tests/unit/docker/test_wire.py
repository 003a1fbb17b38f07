"""HTTP as the engine speaks it, and as somebody else might."""

from __future__ import annotations

import http.client
import io
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.docker.wire import LONGEST_LINE, MAX_ANSWER, Answer, Wire


class Said:
    """A stream on which everything was said already."""

    def __init__(self, data: bytes) -> None:
        self.data, self.sent, self.closed = data, b"", False

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self.data))  # type: ignore[arg-type]

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def settimeout(self, timeout: float) -> None:
        assert timeout > 0

    def close(self) -> None:
        self.closed = True


def wire(data: bytes, seconds: float = 60.0) -> Wire:
    return Wire(Said(data), time.monotonic() + seconds)


def answer(data: bytes) -> Answer:
    return wire(data).answer("/x")


def test_questions_go_ahead_and_answers_come_in_order() -> None:
    said = Said(
        b"HTTP/1.1 200 OK\r\nApi-Version: 1.47\r\nContent-Length: 2\r\n\r\n{}"
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n"
        b"HTTP/1.1 204 No Content\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end"
    )
    over = Wire(said, time.monotonic() + 60)
    for path in "/a", "/b", "/c", "/d":
        over.ask(path)
    assert said.sent.startswith(b"GET /a HTTP/1.1\r\nHost: docker\r\n")
    assert said.sent.count(b"\r\n\r\n") == 4
    found = [over.answer(path) for path in ("/a", "/b", "/c", "/d")]
    assert [(a.path, a.status, a.body, a.is_last) for a in found] == [
        ("/a", 200, b"{}", False),
        ("/b", 404, b"abcdefg", False),
        ("/c", 204, b"", False),
        ("/d", 200, b"to the end", True),
    ]
    assert found[0].headers["api-version"] == "1.47"
    over.close()
    assert said.closed


def test_the_oldest_http_ends_with_its_connection() -> None:
    assert answer(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx").is_last
    assert not answer(b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx").is_last


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
        (b"HTTP/1.1 OK\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n", "no size"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_ANSWER + 1), "longer than 64 MiB"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "no size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n", "longer than 64 MiB"),
        (b"HTTP/1.1 200 OK\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(200)), "too many headers"),
        (b"x" * (LONGEST_LINE + 1), "too long"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        answer(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_an_answer_cut_short_is_a_lost_connection(data: bytes) -> None:
    with pytest.raises(ConnectionError, match="cut short"):
        answer(data)


def test_no_answer_is_waited_for_without_end() -> None:
    with pytest.raises(TimeoutError, match="no whole answer in time"):
        wire(b"HTTP/1.1 200 OK\r\n\r\n", seconds=0.0).answer("/x")


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/\u00e9", "/\x7f"])
def test_a_path_cannot_smuggle_anything(path: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        wire(b"").ask(path)


@given(st.binary(max_size=400))
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            answer(start + data)
        except (ValueError, ConnectionError):
            continue


class Socket:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, *args: Any) -> io.BytesIO:
        return io.BytesIO(self.data)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.sampled_from([200, 404, 500]), st.booleans())
def test_bodies_are_those_that_http_client_reads(parts: list[bytes], status: int, chunked: bool) -> None:
    body = b"".join(parts)
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n" % status
    if chunked:
        framed = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"
        data = head + b"Transfer-Encoding: chunked\r\n\r\n" + framed
    else:
        data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    theirs = http.client.HTTPResponse(Socket(data))  # type: ignore[arg-type]
    theirs.begin()
    found = answer(data)
    assert (found.status, found.body) == (theirs.status, theirs.read()) == (status, body)
