"""Connections that are shared, slow, dropped, frozen or many."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from paramiko.common import cMSG_CHANNEL_EOF

from deployer.errors import HostError, UnreachableError
from deployer.spec.language import Host
from deployer.transport import ConnectOptions, Transport
from deployer.transport.fleet import Fleet
from tests.contract.transport import rig
from tests.contract.transport.conftest import HostOf, Open

pytestmark = pytest.mark.lab

both = pytest.mark.parametrize("connection", ["ssh", "openssh"])
QUIET = ConnectOptions(ssh_config="/dev/null")


def logins(server: rig.Sshd) -> int:
    return server.log.read_text().count("Accepted publickey")


def kill_session(transport: Transport) -> None:
    """Ends sshd's own process of this connection, as a crash of the host's side would."""
    parent = int(transport.run(["sh", "-c", "echo $PPID"]).stdout)
    os.kill(parent, signal.SIGKILL)


# --- one connection


@both
def test_one_connection_per_host(open_host: Open, host_of: HostOf, sshd: rig.Sshd, web: int, connection: str) -> None:
    before = logins(sshd)
    transport = open_host(host_of(sshd, connection=connection))
    with ThreadPoolExecutor(12) as pool:
        assert all(done.exit_code == 0 for done in pool.map(lambda _: transport.run(["true"]), range(24)))
    assert transport.docker().ping() is True
    connection_ = transport.http("127.0.0.1", web, timeout=10)
    connection_.request("GET", "/")
    assert connection_.getresponse().read() == b"/"
    connection_.close()
    assert logins(sshd) - before == 1


def test_what_comes_late_to_a_closed_channel_is_not_sent(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sshd ends the whole connection for an end of file on a channel that is closed on both sides."""
    transport = open_host(host_of(sshd))
    transport.connect()
    session = transport.link.session()  # type: ignore[attr-defined]
    send = type(session)._send_user_message

    def late(session: Any, data: Any) -> None:
        if data.asbytes()[:1] == cMSG_CHANNEL_EOF:
            time.sleep(0.3)  # until `true` has ended, and paramiko's thread answered sshd's close with ours
        send(session, data)

    monkeypatch.setattr(type(session), "_send_user_message", late)
    assert transport.run(["true"]).exit_code == 0
    assert transport.run(["true"]).exit_code == 0
    assert transport.link.session() is session  # type: ignore[attr-defined]


def test_no_nagle_and_a_limit_on_silence(open_host: Open, host_of: HostOf, sshd: rig.Sshd) -> None:
    transport = open_host(host_of(sshd))
    transport.connect()
    sock: socket.socket = transport.link.session().sock  # type: ignore[attr-defined]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert 0 < sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 60_000


def test_hosts_behind_one_jump_host_share_its_connection(host_of: HostOf, folder: rig.Folder, sshd: rig.Sshd) -> None:
    with rig.started(rig.Sshd(folder, "bastion")) as bastion:
        known = folder.path / "known_jump"
        known.write_text(sshd.known_hosts("ed25519").read_text() + bastion.known_hosts("ed25519").read_text())
        jump = f"root@127.0.0.1:{bastion.port}"
        hosts = {f"h{n}": host_of(sshd, jump=jump, known_hosts=str(known)) for n in range(6)}
        with Fleet(hosts, QUIET) as fleet:
            done = fleet.map(hosts, lambda transport: transport.run(["true"]).exit_code)
        assert done == dict.fromkeys(hosts, 0)
        assert logins(bastion) == 1


@both
def test_the_key_of_a_jump_host_is_checked(
    open_host: Open, host_of: HostOf, folder: rig.Folder, sshd: rig.Sshd, tmp_path: Path, connection: str
) -> None:
    with rig.started(rig.Sshd(folder, f"unknown-bastion-{connection}")) as bastion:
        config = tmp_path / "config"
        config.write_text(
            f"Host bastion\n HostName 127.0.0.1\n Port {bastion.port}\n User root\n IdentityFile {folder.key}\n"
            f" UserKnownHostsFile {tmp_path}/none\nHost *\n GlobalKnownHostsFile none\n"
        )
        host = host_of(sshd, jump="bastion", connection=connection)
        with pytest.raises(HostError) as caught:
            open_host(host, ConnectOptions(ssh_config=str(config))).connect()
        assert caught.value.diagnostic.code == "host-key-unknown"


@both
def test_an_alias_of_the_configuration(
    open_host: Open, folder: rig.Folder, dockerd: rig.Dockerd, sshd: rig.Sshd, tmp_path: Path, connection: str
) -> None:
    """Everything from ssh_config, through an Include and a Match, and a jump over another alias."""
    known = sshd.known_hosts("ed25519")
    (tmp_path / "more").write_text(
        f"Host *\n HostName 127.0.0.1\n Port {sshd.port}\n IdentityFile {folder.key}\n"
        f" IdentitiesOnly yes\n UserKnownHostsFile {known}\nMatch originalhost gpu\n User root\n"
        "Match originalhost gpu-far\n User root\n ProxyJump root@gpu\n"
    )
    (tmp_path / "config").write_text(f"Include {tmp_path}/more\n")
    options = ConnectOptions(ssh_config=str(tmp_path / "config"))
    before = logins(sshd)
    for address, connections in (("gpu", 1), ("gpu-far", 2)):
        host = Host(address=address, docker={"socket": str(dockerd.socket)}, connection=connection)  # type: ignore[arg-type]
        transport = open_host(host, options)
        assert transport.run(["id", "-un"]).stdout == b"root\n"
        assert transport.docker().ping() is True
        assert logins(sshd) - before == connections
        before = logins(sshd)


# --- connections that die


@both
def test_a_dead_connection_is_opened_again(open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    transport = open_host(host_of(sshd, connection=connection))
    assert transport.docker().ping() is True
    kill_session(transport)
    assert transport.run(["echo", "again"]).stdout == b"again\n"
    assert transport.docker().ping() is True
    assert transport.docker().version()["ApiVersion"]


@both
def test_a_command_under_way_is_told_of_the_loss(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str
) -> None:
    transport = open_host(host_of(sshd, connection=connection))
    transport.connect()
    parent = int(transport.run(["sh", "-c", "echo $PPID"]).stdout)
    threading.Timer(0.7, os.kill, (parent, signal.SIGKILL)).start()
    started = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        transport.run(["sleep", "30"], timeout=25)
    assert caught.value.diagnostic.code == "connection-lost"
    assert time.monotonic() - started < 10


def test_a_stream_of_docker_is_told_of_the_loss(open_host: Open, host_of: HostOf, sshd: rig.Sshd) -> None:
    transport = open_host(host_of(sshd))
    stream = transport.docker().events(decode=True)
    kill = threading.Timer(0.5, kill_session, (transport,))
    kill.start()
    with pytest.raises(UnreachableError):
        list(stream)
    kill.join()


def test_a_file_is_whole_or_absent_when_the_connection_dies(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path
) -> None:
    proxy = rig.Proxy(sshd.port)
    try:
        known = sshd.known_hosts("ed25519", name=f"[127.0.0.1]:{proxy.port}")
        transport = open_host(host_of(sshd, port=proxy.port, known_hosts=str(known)))
        transport.connect()
        (tmp_path / "file").write_bytes(b"before")
        threading.Timer(0.15, proxy.close).start()

        def write_often() -> None:
            for _ in range(20):
                transport.put(f"{tmp_path}/file", b"x" * 20_000_000)

        with pytest.raises(HostError):
            write_often()
        rig.eventually(lambda: not list(tmp_path.glob("file.deployer-*")), "no half file is left", 10)
        content = (tmp_path / "file").read_bytes()
        assert content in (b"before", b"x" * 20_000_000)
    finally:
        proxy.close()


@both
def test_a_frozen_connection_is_noticed(open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    """Nothing is refused and nothing comes: only missing answers to our signs of life tell."""
    proxy = rig.Proxy(sshd.port)
    try:
        known = sshd.known_hosts("ed25519", name=f"[127.0.0.1]:{proxy.port}")
        host = host_of(sshd, port=proxy.port, known_hosts=str(known), connection=connection)
        transport = open_host(host, ConnectOptions(ssh_config="/dev/null", keepalive=1.0, attempts=1))
        transport.connect()
        threading.Timer(0.3, proxy.freeze).start()
        started = time.monotonic()
        with pytest.raises(UnreachableError):
            transport.run(["sleep", "60"], timeout=50)
        assert time.monotonic() - started < 15
    finally:
        proxy.close()


def test_behind_a_frozen_jump_host(open_host: Open, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path) -> None:
    proxy = rig.Proxy(sshd.port)
    try:
        known = tmp_path / "known"
        known.write_text(
            sshd.known_hosts("ed25519").read_text()
            + sshd.known_hosts("ed25519", name=f"[127.0.0.1]:{proxy.port}").read_text()
        )
        host = host_of(sshd, jump=f"root@127.0.0.1:{proxy.port}", known_hosts=str(known))
        transport = open_host(
            host, ConnectOptions(ssh_config="/dev/null", keepalive=1.0, attempts=1, connect_timeout=2)
        )
        transport.connect()
        proxy.freeze()
        started = time.monotonic()
        with pytest.raises(UnreachableError):
            transport.run(["sleep", "60"], timeout=50)
        assert time.monotonic() - started < 15
    finally:
        proxy.close()


@pytest.mark.parametrize("connection", ["local", "ssh", "openssh"])
def test_a_close_wakes_whoever_reads(host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    fleet = Fleet({"a": host_of(sshd, connection=connection)}, QUIET)
    with ThreadPoolExecutor(1) as pool:
        stream = fleet["a"].docker().events(decode=True)
        reading = pool.submit(list, stream)
        time.sleep(0.2)
        assert not reading.done()
        fleet.close()
        assert isinstance(reading.exception(timeout=10), Exception | None)


# --- limits of sshd


@pytest.mark.parametrize(("connection", "sessions"), [("ssh", 1), ("ssh", 3), ("openssh", 4)])
def test_few_sessions_are_shared(
    folder: rig.Folder, open_host: Open, host_of: HostOf, connection: str, sessions: int
) -> None:
    server = rig.Sshd(folder, f"few-{connection}-{sessions}", (f"MaxSessions {sessions}",))
    with rig.started(server):
        transport = open_host(host_of(server, connection=connection))

        def work(number: int) -> bytes:
            return transport.run(["sh", "-c", f"sleep 0.1; echo {number}"]).stdout

        with ThreadPoolExecutor(10) as pool:
            assert list(pool.map(work, range(20))) == [f"{n}\n".encode() for n in range(20)]


def test_forwarding_only_connections_say_so(folder: rig.Folder, open_host: Open, host_of: HostOf) -> None:
    with rig.started(rig.Sshd(folder, "no-sessions", ("MaxSessions 0",))) as server:
        with pytest.raises(HostError) as caught:
            open_host(host_of(server)).run(["true"])
        assert caught.value.diagnostic.code == "sessions-refused"
        assert caught.value.diagnostic.hint is not None
        assert "MaxSessions" in caught.value.diagnostic.hint


def test_a_storm_of_connections_loses_none(folder: rig.Folder, host_of: HostOf) -> None:
    """sshd's default MaxStartups drops some of 40 logins at once; each gets in all the same."""
    with rig.started(rig.Sshd(folder, "storm", ("MaxStartups 10:30:100",))) as server:
        hosts = {f"h{n}": host_of(server) for n in range(40)}
        with Fleet(hosts, QUIET) as fleet:
            done = fleet.map(hosts, lambda transport: transport.run(["true"]).exit_code, limit=40)
        assert done == dict.fromkeys(hosts, 0)


# --- the fleet


def test_one_slow_host_holds_up_nobody(host_of: HostOf, sshd: rig.Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = {f"h{n}": host_of(sshd) for n in range(4)}
        hosts["slow"] = host_of(sshd, port=silent.getsockname()[1])
        finished: dict[str, float] = {}
        started = time.monotonic()

        def work(transport: Transport) -> int:
            code = transport.run(["true"]).exit_code
            finished[transport.name] = time.monotonic() - started
            return code

        with Fleet(hosts, ConnectOptions(ssh_config="/dev/null", connect_timeout=3, attempts=1)) as fleet:
            done = fleet.map(hosts, work)
        failed = done.pop("slow")
        assert isinstance(failed, UnreachableError)
        assert done == dict.fromkeys(done, 0)
        assert max(finished.values()) < 2.5


def test_a_fleet_makes_each_transport_once(host_of: HostOf, sshd: rig.Sshd) -> None:
    with Fleet({"a": host_of(sshd)}, QUIET) as fleet:
        with ThreadPoolExecutor(8) as pool:
            found = set(map(id, pool.map(lambda _: fleet["a"], range(50))))
        assert len(found) == 1
        with pytest.raises(KeyError):
            fleet["b"]


def test_other_errors_of_the_work_are_raised(host_of: HostOf, sshd: rig.Sshd) -> None:
    def work(transport: Transport) -> None:
        raise ZeroDivisionError

    with Fleet({"a": host_of(sshd)}, QUIET) as fleet, pytest.raises(ZeroDivisionError):
        fleet.map(["a"], work)


@both
def test_nothing_is_left_behind(folder: rig.Folder, host_of: HostOf, connection: str) -> None:
    with rig.started(rig.Sshd(folder, f"left-{connection}")) as server:
        with Fleet({"a": host_of(server, connection=connection)}, QUIET) as fleet:
            fleet["a"].docker().ping()
            assert len(sessions_of(server)) == 1
            started = time.monotonic()
        assert time.monotonic() - started < 5
        rig.eventually(lambda: not sessions_of(server), "sshd sees the connection end", 10)
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert not re.search(rf"^ssh .*-p {server.port} ", listed, re.MULTILINE)


SCRIPT = """
import os, sys
from deployer.spec.language import Host
from deployer.transport import ConnectOptions
from deployer.transport.fleet import Fleet
fleet = Fleet({"a": Host.model_validate_json(sys.argv[1])}, ConnectOptions(ssh_config="/dev/null"))
assert fleet["a"].run(["echo", "up"]).stdout == b"up\\n"
fleet["a"].docker().ping()
print("up", flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), 9)
if sys.argv[2] == "raises":
    raise SystemExit(3)
"""


@both
@pytest.mark.parametrize("end", ["exits", "raises", "killed"])
def test_nothing_outlives_the_controller(host_of: HostOf, sshd: rig.Sshd, connection: str, end: str) -> None:
    """Without a close: at the interpreter's exit, and when it is killed."""
    host = host_of(sshd, connection=connection)
    before = set(sessions_of(sshd))
    argv = [sys.executable, "-c", SCRIPT, host.model_dump_json(exclude_defaults=True), end]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "up\n", done.stderr
    assert "Traceback" not in done.stderr
    rig.eventually(lambda: set(sessions_of(sshd)) <= before, "sshd sees the connection end", 10)


def sessions_of(server: rig.Sshd) -> list[str]:
    """sshd's processes of open connections: children of its listener."""
    listener = int(Path(server.folder.path, f"{server.name}.pid").read_text())
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(listener)], capture_output=True, text=True, check=False)
    return listed.stdout.split()


def test_importing_the_transports_is_light() -> None:
    heavy = ("paramiko", "fabric", "docker", "pydantic", "requests")
    code = f"import sys, deployer.transport.fleet; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
