"""The rig, once per test run, and the transports the suite runs against."""

from __future__ import annotations

import http.server
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployer.spec.language import Host
from deployer.transport import ConnectOptions, Transport
from deployer.transport.fleet import Fleet
from tests.contract.transport import rig

KINDS = ("local", "ssh", "openssh", "jump")


@pytest.fixture(scope="session")
def folder() -> Iterator[rig.Folder]:
    why = rig.missing()
    if why is not None:
        assert os.environ.get("CI") != "true", f"the transport suite must run in CI, but: {why}"
        pytest.skip(f"no real sshd and dockerd: {why}")
    path = Path(tempfile.mkdtemp(prefix="deployer-transport-"))
    path.chmod(0o755)  # the accounts of the rig read their keys here
    yield rig.Folder(path / "ssh")
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def dockerd(folder: rig.Folder) -> Iterator[rig.Dockerd]:
    engine = rig.Dockerd(folder.path.parent / "docker")
    try:
        yield engine.start()
    finally:
        engine.stop()


@pytest.fixture(scope="session")
def sshd(folder: rig.Folder) -> Iterator[rig.Sshd]:
    with rig.started(rig.Sshd(folder, "plain")) as server:
        yield server


@pytest.fixture(scope="session")
def shut(folder: rig.Folder) -> Iterator[rig.Sshd]:
    """An sshd that forbids all forwarding."""
    with rig.started(rig.Sshd(folder, "shut", ("DisableForwarding yes",))) as server:
        yield server


HostOf = Callable[..., Host]


@pytest.fixture
def host_of(folder: rig.Folder, dockerd: rig.Dockerd) -> HostOf:
    """A host behind one of the sshds; any key of a host may be given."""

    def make(server: rig.Sshd, **settings: Any) -> Host:
        base: dict[str, Any] = {
            "address": "127.0.0.1",
            "port": server.port,
            "user": "root",
            "key": str(folder.key),
            "known_hosts": str(server.known_hosts("ed25519")),
            "docker": {"socket": str(dockerd.socket)},
        }
        return Host(**{**base, **settings})

    return make


Open = Callable[..., Transport]


@pytest.fixture
def open_host(tmp_path: Path) -> Iterator[Open]:
    """Opens transports that are closed after the test. No configuration of the user who runs the tests counts."""
    fleets: list[Fleet] = []
    config = tmp_path / "ssh_config"
    config.write_text("")

    def make(host: Host, options: ConnectOptions | None = None) -> Transport:
        fleets.append(Fleet({"box": host}, options or ConnectOptions(ssh_config=str(config), attempts=2)))
        return fleets[-1]["box"]

    yield make
    for fleet in fleets:
        fleet.close()


@pytest.fixture(scope="module", params=KINDS)
def transport(request: pytest.FixtureRequest, sshd: rig.Sshd, dockerd: rig.Dockerd) -> Iterator[Transport]:
    """The same suite for each way to a host."""
    folder: rig.Folder = request.getfixturevalue("folder")
    config = folder.path / "empty_config"
    config.write_text("")
    base: dict[str, Any] = {"docker": {"socket": str(dockerd.socket)}, "connection": "local"}
    if request.param != "local":
        known = str(sshd.known_hosts("ed25519"))
        base |= {"address": "127.0.0.1", "port": sshd.port, "user": "root", "key": str(folder.key)}
        base |= {"known_hosts": known, "connection": "openssh" if request.param == "openssh" else "ssh"}
    if request.param == "jump":
        base |= {"jump": f"root@127.0.0.1:{sshd.port}"}
    with Fleet({"box": Host(**base)}, ConnectOptions(ssh_config=str(config))) as fleet:
        yield fleet["box"]


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/silent":
            self.server.stop.wait(20)  # type: ignore[attr-defined]
            return
        body = b"x" * 300_000 if self.path == "/large" else self.path.encode()
        self.send_response(200)
        if self.path == "/until-closed":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.path == "/until-closed"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class DualStack(http.server.ThreadingHTTPServer):
    daemon_threads = True


@pytest.fixture(scope="session")
def web() -> Iterator[int]:
    """The port of a small HTTP server on 127.0.0.1."""
    server = DualStack(("127.0.0.1", 0), Answers)
    server.stop = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.stop.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
