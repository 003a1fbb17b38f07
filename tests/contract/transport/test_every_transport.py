"""What every transport does, asked of each of them: commands, files, the Docker engine, HTTP to the host's ports."""

from __future__ import annotations

import http.client
import json
import socket
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deployer.errors import HostError, OperationError
from deployer.transport import Transport
from tests.contract.transport.rig import eventually, free_port

pytestmark = pytest.mark.lab

NASTY = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "$(id)",
    "`id`",
    "$HOME",
    "\\",
    "a\nb",
    "*",
    "~",
    "-n",
    "--",
    "é€\U0001f40b",
    "a;b&c|d>e<f",
    "!x",
    "{a,b}",
    "#c",
    "\t\x01\x7f",
    "x" * 5000,
]
SHOW = 'for a in "$@"; do printf "%s" "$a" | od -v -An -tx1 | tr -d " \\n"; echo; done'


def running(marker: str) -> bool:
    """Is there a process on this machine (where all the tests' hosts are) with this in its arguments?"""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


# --- commands


def test_exit_code_and_both_outputs(transport: Transport) -> None:
    done = transport.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.exit_code, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_stdin_is_fed_and_ended(transport: Transport) -> None:
    data = bytes(range(256)) * 40_000  # 10 MB, past every window and pipe
    done = transport.run(["sh", "-c", "cat; echo done >&2"], stdin=data)
    assert done.stdout == data
    assert done.stderr == b"done\n"


def test_a_command_need_not_read_its_stdin(transport: Transport) -> None:
    assert transport.run(["true"], stdin=b"x" * 3_000_000).exit_code == 0


def test_every_argument_arrives_as_it_is(transport: Transport) -> None:
    done = transport.run(["sh", "-c", SHOW, "sh", *NASTY])
    assert done.stdout.decode().splitlines() == [word.encode().hex() for word in NASTY]


def test_nul_is_refused(transport: Transport) -> None:
    with pytest.raises(OperationError) as caught:
        transport.run(["echo", "a\0b"])
    assert caught.value.diagnostic.code == "bad-argument"


def test_a_command_that_is_not_there_is_127(transport: Transport) -> None:
    assert transport.run(["no-such-command-here"]).exit_code == 127


def test_messages_are_in_english(transport: Transport) -> None:
    assert transport.run(["sh", "-c", 'printf %s "$LC_ALL"']).stdout == b"C"


def test_output_is_cut_at_32_mib_and_the_command_still_ends(transport: Transport) -> None:
    done = transport.run(["sh", "-c", "head -c 34000000 /dev/zero; exit 3"])
    assert len(done.stdout) == 32 * 1024 * 1024
    assert done.exit_code == 3


def test_a_background_process_does_not_hold_the_command_up(transport: Transport) -> None:
    started = time.monotonic()
    done = transport.run(["sh", "-c", "sleep 8 & echo on"])
    assert done.stdout == b"on\n"
    if transport.host.connection != "openssh":  # the ssh client itself waits until nobody holds its output
        assert time.monotonic() - started < 5


def test_a_command_that_takes_too_long_is_ended(transport: Transport) -> None:
    started = time.monotonic()
    with pytest.raises(HostError) as caught:
        transport.run(["sh", "-c", "echo waiting for godot >&2; sleep 61.7312; true"], timeout=1)
    assert time.monotonic() - started < 6
    diagnostic = caught.value.diagnostic
    assert diagnostic.code == "command-timeout"
    assert diagnostic.host == "box"
    assert diagnostic.evidence == ("waiting for godot",)
    eventually(lambda: not running("61.7312"), "the command is gone", 5)


def test_a_stream_comes_as_it_is_written_and_ends_with_its_context(transport: Transport) -> None:
    with transport.stream(["sh", "-c", "echo 1; sleep 0.5; echo 2; exec sleep 62.1973"], timeout=30) as chunks:
        assert next(chunks) == b"1\n"
        assert running("62.1973")
        assert next(chunks) == b"2\n"
    eventually(lambda: not running("62.1973"), "the command is gone", 5)


def test_a_stream_is_fed_and_read_at_the_same_time(transport: Transport) -> None:
    data = bytes(range(256)) * 12_000
    with transport.stream(["cat"], stdin=data, timeout=30) as chunks:
        assert b"".join(chunks) == data


def test_a_stream_tells_of_a_failed_command(transport: Transport) -> None:
    seen: list[bytes] = []
    with (
        pytest.raises(HostError) as caught,
        transport.stream(["sh", "-c", "echo a; echo no >&2; exit 4"], timeout=9) as s,
    ):
        seen.extend(s)
    assert b"".join(seen) == b"a\n"
    assert caught.value.diagnostic.code == "command-failed"
    assert caught.value.diagnostic.evidence == ("no",)


def test_a_stream_is_bounded(transport: Transport) -> None:
    with pytest.raises(HostError) as caught, transport.stream(["sleep", "63.5511"], timeout=0.5) as chunks:
        list(chunks)
    assert caught.value.diagnostic.code == "command-timeout"
    eventually(lambda: not running("63.5511"), "the command is gone", 5)


def test_a_stream_may_be_large(transport: Transport) -> None:
    with transport.stream(
        ["sh", "-c", "head -c 9000000 /dev/zero; head -c 3000000 /dev/zero >&2"], timeout=30
    ) as chunks:
        assert sum(map(len, chunks)) == 9_000_000


# --- files


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o755])
def test_put_writes_content_and_mode(transport: Transport, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a 'quoted' \"file\" $HOME\nof é"
    path.write_text("before")
    data = bytes(range(256)) * 5000
    transport.put(str(path), data, mode=mode)
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


def test_put_an_empty_file(transport: Transport, tmp_path: Path) -> None:
    transport.put(str(tmp_path / "empty"), b"")
    assert (tmp_path / "empty").read_bytes() == b""


@pytest.mark.parametrize("path", ["missing-folder/file", ".", "sub"])
def test_put_says_where_it_may_not_write(transport: Transport, tmp_path: Path, path: str) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(HostError) as caught:
        transport.put(f"{tmp_path}/{path}", b"x")
    assert caught.value.diagnostic.code == "write-failed"
    assert list((tmp_path / "sub").iterdir()) == []


# --- Docker


def test_engine_answers_and_is_kept_alive(transport: Transport) -> None:
    connection = transport.engine()
    for path in ("/_ping", "/version", "/containers/json?all=1"):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        assert response.read()
    connection.close()


def test_engine_honours_timeouts(transport: Transport) -> None:
    connection = transport.engine()
    connection.timeout = 1
    connection.request("GET", f"/events?since={time.time()}")
    response = connection.getresponse()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        response.read()
    assert time.monotonic() - started < 5
    connection.close()


def test_docker_sdk(transport: Transport) -> None:
    client = transport.docker()
    assert client is transport.docker()
    assert tuple(map(int, client.version()["ApiVersion"].split("."))) >= (1, 41)
    assert client.containers(all=True) == []
    assert client.api_version == client.version()["ApiVersion"] or client.api_version >= "1.41"


def test_docker_sdk_streams_and_cancels(transport: Transport) -> None:
    client = transport.docker()
    stream = client.events(decode=True)
    threading.Timer(0.5, stream.close).start()
    started = time.monotonic()
    assert list(stream) == []
    assert time.monotonic() - started < 5
    volume = client.create_volume("deployer-transport")["Name"]
    client.remove_volume(volume)
    events = client.events(since=int(started and time.time()) - 30, until=int(time.time()) + 1, decode=True)
    assert {"create", "destroy"} <= {event["Action"] for event in events if event["Actor"]["ID"] == volume}


def test_docker_sdk_uploads_and_errors(transport: Transport) -> None:
    import docker.errors

    client = transport.docker()
    with pytest.raises(docker.errors.NotFound):
        client.inspect_container("no-such-container")
    answers = list(client.load_image(b"not an image", quiet=True))
    assert answers is not None


def test_docker_sdk_read_timeout_per_call(transport: Transport) -> None:
    import requests

    client = transport.docker()
    started = time.monotonic()
    with pytest.raises((requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError), match="timed out"):
        client.get(client._url("/events"), timeout=0.5)
    assert time.monotonic() - started < 5
    assert client.ping() is True


def test_docker_sdk_ignores_the_users_own_configuration(transport: Transport) -> None:
    client = transport.docker()
    assert client._general_configs == {}
    assert client._auth_configs.is_empty
    assert client.trust_env is False


# --- HTTP


def fetch(transport: Transport, port: int, path: str, timeout: float = 10) -> bytes:
    connection = transport.http("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.parametrize(("path", "size"), [("/x", 2), ("/large", 300_000), ("/until-closed", 13)])
def test_http_to_a_port_of_the_host(transport: Transport, web: int, path: str, size: int) -> None:
    assert len(fetch(transport, web, path)) == size


def test_http_sends_bodies(transport: Transport, web: int) -> None:
    body = json.dumps({"prompt": "x" * 100_000}).encode()
    connection = transport.http("127.0.0.1", web, timeout=10)
    for _ in range(2):
        connection.request("POST", "/echo", body=body)
        assert connection.getresponse().read() == body
    connection.close()


def test_http_refused(transport: Transport) -> None:
    with pytest.raises(ConnectionRefusedError):
        fetch(transport, free_port(), "/")


def test_http_without_an_answer(transport: Transport, web: int) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        fetch(transport, web, "/silent", timeout=0.7)
    assert time.monotonic() - started < 5


def test_http_that_hangs_up(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            fetch(transport, server.getsockname()[1], "/")
        thread.join()


def test_http_over_ipv6(transport: Transport) -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with server:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nv6")

        thread = threading.Thread(target=answer)
        thread.start()
        connection = transport.http("::1", server.getsockname()[1], timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"v6"
        connection.close()
        thread.join()


# --- many threads


def test_thirty_threads_on_one_connection(transport: Transport, web: int) -> None:
    def work(number: int) -> object:
        match number % 3:
            case 0:
                return (
                    transport.run(["sh", "-c", "sleep 0.1; echo $1", "sh", str(number)]).stdout
                    == f"{number}\n".encode()
                )
            case 1:
                return len(fetch(transport, web, "/large", timeout=60)) == 300_000
            case _:
                return transport.docker().ping()

    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(work, range(90))) == [True] * 90
