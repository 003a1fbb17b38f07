"""Streams behave like sockets where HTTP clients and the Docker SDK look."""

from __future__ import annotations

import http.client
import socket
import threading
import time

import pytest

from deployer.transport.streams import SocketPipe, Stream, StreamConnection


def pair() -> tuple[Stream, socket.socket]:
    ours, theirs = socket.socketpair()
    return Stream(SocketPipe(ours)), theirs


def test_a_file_outlives_the_socket_it_was_made_of() -> None:
    stream, theirs = pair()
    with theirs:
        file = stream.makefile("rb")
        stream.close()
        theirs.sendall(b"late\n")
        assert file.readline() == b"late\n"
        file.close()
        assert theirs.recv(1) == b""


def test_closing_the_last_file_closes_it_only_when_asked_to() -> None:
    stream, theirs = pair()
    with theirs:
        stream.makefile("rb").close()
        stream.sendall(b"still here")
        assert theirs.recv(100) == b"still here"
        stream.close()


def test_shutdown_from_another_thread_ends_a_read() -> None:
    stream, theirs = pair()
    with theirs:
        file = stream.makefile("rb")
        threading.Timer(0.1, stream.shutdown, (socket.SHUT_RDWR,)).start()
        assert file.read() == b""
        file.close()


def test_half_a_shutdown_leaves_the_other_half() -> None:
    stream, theirs = pair()
    with theirs:
        stream.shutdown(socket.SHUT_WR)
        assert theirs.recv(1) == b""
        theirs.sendall(b"answer")
        assert stream.recv(100) == b"answer"
        stream.close()


class Silence(Exception):
    pass


def silent() -> None:
    raise Silence


@pytest.mark.parametrize("spoke", [False, True])
def test_only_a_wordless_end_is_explained(spoke: bool) -> None:
    stream, theirs = pair()
    stream.on_silence = silent
    if spoke:
        theirs.sendall(b"word")
        assert stream.recv(4) == b"word"
    theirs.close()
    if spoke:
        assert stream.recv(4) == b""
    else:
        with pytest.raises(Silence):
            stream.recv(4)
    stream.close()


def test_a_broken_send_is_explained_too() -> None:
    stream, theirs = pair()
    stream.on_silence = silent
    theirs.close()
    with pytest.raises(Silence):
        stream.sendall(b"x" * 10)
    stream.close()


class Dead(SocketPipe):
    """As a channel of an SSH connection that died."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.sendall = self._refuse

    def _refuse(self, data: object) -> None:
        raise EOFError


def test_a_connection_that_died_is_a_broken_pipe() -> None:
    ours, theirs = socket.socketpair()
    stream = Stream(Dead(ours))
    with theirs, pytest.raises(BrokenPipeError):
        stream.sendall(b"x")
    stream.close()


def test_hung_up() -> None:
    stream, theirs = pair()
    stream.settimeout(30)
    started = time.monotonic()
    assert not stream.hung_up()
    assert time.monotonic() - started < 1
    theirs.close()
    assert stream.hung_up()
    stream.close()
    assert stream.hung_up()


def test_read_timeouts() -> None:
    stream, theirs = pair()
    with theirs:
        stream.settimeout(0.05)
        assert stream.gettimeout() == 0.05
        with pytest.raises(TimeoutError):
            stream.recv(1)
    stream.close()


def test_http_over_a_stream() -> None:
    stream, theirs = pair()
    asked: list[float | None] = []

    def opener(timeout: float | None) -> Stream:
        asked.append(timeout)
        return stream

    def answer() -> None:
        theirs.recv(65536)
        theirs.sendall(b"HTTP/1.0 200 OK\r\n\r\nuntil closed")
        theirs.close()

    thread = threading.Thread(target=answer)
    thread.start()
    connection = StreamConnection(opener, "fd00::1", 8000, 5.0)
    connection.request("GET", "/")
    response: http.client.HTTPResponse = connection.getresponse()
    assert response.read() == b"until closed"
    connection.close()
    thread.join()
    assert asked == [5.0]
