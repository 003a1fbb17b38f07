"""Hosts that say no, or nothing: each its own error, with its own remedy, in bounded time."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from deployer.errors import AuthenticationError, DockerError, HostError, HostKeyError, UnreachableError
from deployer.transport import ConnectOptions
from tests.contract.transport import rig
from tests.contract.transport.conftest import HostOf, Open

pytestmark = pytest.mark.lab

both = pytest.mark.parametrize("connection", ["ssh", "openssh"])


def refusal(opened: object, kind: type[HostError]) -> HostError:
    with pytest.raises(kind) as caught:
        opened.connect()  # type: ignore[attr-defined]
    diagnostic = caught.value.diagnostic
    assert diagnostic.host == "box"
    assert "box" in diagnostic.message
    assert diagnostic.hint
    return caught.value


def ask(connection: http.client.HTTPConnection, path: str) -> bytes:
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read()


# --- host keys


@both
def test_unknown_host_key(open_host: Open, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path, connection: str) -> None:
    (tmp_path / "known").write_text(f"other.example {rig.public(sshd.folder.host_keys['ed25519'])}\n")
    host = host_of(sshd, connection=connection, known_hosts=str(tmp_path / "known"))
    diagnostic = refusal(open_host(host), HostKeyError).diagnostic
    assert diagnostic.code == "host-key-unknown"
    if connection == "ssh":
        shown = subprocess.run(
            ["ssh-keygen", "-lf", f"{sshd.folder.host_keys['ed25519']}.pub"], capture_output=True, text=True, check=True
        ).stdout.split()[1]
        assert any(shown in line for line in diagnostic.evidence)
        assert diagnostic.hint is not None
        assert f"ssh-keyscan -t ed25519 -p {sshd.port} 127.0.0.1 >> {tmp_path}/known" in diagnostic.hint


def test_the_hint_for_an_unknown_key_works(open_host: Open, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path) -> None:
    host = host_of(sshd, known_hosts=str(tmp_path / "known"))
    hint = refusal(open_host(host), HostKeyError).diagnostic.hint
    assert hint is not None
    subprocess.run(["sh", "-c", hint.split("`")[1]], check=True, capture_output=True)
    open_host(host).connect()


def test_lax_checking_in_the_configuration_does_not_count(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("Host *\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n")
    options = ConnectOptions(ssh_config=str(tmp_path / "config"))
    diagnostic = refusal(open_host(host_of(sshd, known_hosts=None), options), HostKeyError).diagnostic
    assert diagnostic.code == "host-key-unknown"
    assert any("StrictHostKeyChecking" in line for line in diagnostic.evidence)


@both
def test_changed_host_key(open_host: Open, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path, connection: str) -> None:
    known = tmp_path / "known"
    known.write_text(f"# comment\n{sshd.known_as} {rig.public(sshd.folder.stranger)}\n")
    host = host_of(sshd, connection=connection, known_hosts=str(known))
    diagnostic = refusal(open_host(host), HostKeyError).diagnostic
    assert diagnostic.code == "host-key-changed"
    assert any(f"{known}:2" in line for line in diagnostic.evidence), diagnostic.evidence


@both
def test_revoked_host_key(open_host: Open, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path, connection: str) -> None:
    key = rig.public(sshd.folder.host_keys["ed25519"])
    (tmp_path / "known").write_text(f"{sshd.known_as} {key}\n@revoked * {key}\n")
    host = host_of(sshd, connection=connection, known_hosts=str(tmp_path / "known"))
    assert refusal(open_host(host), HostKeyError).diagnostic.code == "host-key-revoked"


@both
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_one_known_key_of_several_is_enough(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, kind: str, connection: str
) -> None:
    host = host_of(sshd, connection=connection, known_hosts=str(sshd.known_hosts(kind)))
    assert open_host(host).run(["true"]).exit_code == 0


def test_hashed_known_hosts(open_host: Open, host_of: HostOf, sshd: rig.Sshd) -> None:
    known = sshd.known_hosts("ed25519", "ecdsa")
    copy = known.with_suffix(".hashed")
    copy.write_bytes(known.read_bytes())
    subprocess.run(["ssh-keygen", "-H", "-f", copy], check=True, capture_output=True)
    assert "|1|" in copy.read_text()
    assert open_host(host_of(sshd, known_hosts=str(copy))).run(["true"]).exit_code == 0


@both
def test_host_certificate(
    folder: rig.Folder, open_host: Open, host_of: HostOf, tmp_path: Path, connection: str
) -> None:
    authority, key = rig.keygen(tmp_path / "ca"), rig.keygen(tmp_path / "host")
    sign = ["ssh-keygen", "-q", "-s", authority, "-I", "id", "-h", "-n", "127.0.0.1", "-V", "-1h:+1h", f"{key}.pub"]
    subprocess.run(sign, check=True, capture_output=True)
    settings = (f"HostKey {key}", f"HostCertificate {key}-cert.pub")
    with rig.started(rig.Sshd(folder, f"certified-{connection}", settings)) as server:
        known = tmp_path / "known"
        known.write_text(f"@cert-authority [127.0.0.1]:{server.port} {rig.public(authority)}\n")
        host = host_of(server, connection=connection, known_hosts=str(known))
        assert open_host(host).run(["true"]).exit_code == 0
        known.write_text(f"@cert-authority * {rig.public(folder.stranger)}\n")
        assert refusal(open_host(host), HostKeyError).diagnostic.code == "host-key-unknown"


def test_an_authority_is_not_a_host_key(open_host: Open, host_of: HostOf, sshd: rig.Sshd) -> None:
    known = sshd.known_hosts("ed25519", prefix="@cert-authority ")
    assert refusal(open_host(host_of(sshd, known_hosts=str(known))), HostKeyError).diagnostic.code == "host-key-unknown"


# --- keys


@both
def test_refused_key(open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    host = host_of(sshd, connection=connection, key=str(sshd.folder.stranger))
    diagnostic = refusal(open_host(host), AuthenticationError).diagnostic
    assert diagnostic.code == "auth-refused"
    if connection == "ssh":
        assert f"{sshd.folder.stranger}: refused" in diagnostic.evidence
    text = repr(diagnostic)
    assert "PRIVATE KEY" not in text


def test_missing_key_file(open_host: Open, host_of: HostOf, sshd: rig.Sshd) -> None:
    diagnostic = refusal(open_host(host_of(sshd, key="/no/such/key")), HostError).diagnostic
    assert diagnostic.code == "key-missing"


def test_a_key_with_a_passphrase_is_never_asked_for(open_host: Open, host_of: HostOf, sshd: rig.Sshd) -> None:
    host = host_of(sshd, key=str(sshd.folder.encrypted))
    diagnostic = refusal(open_host(host), AuthenticationError).diagnostic
    assert any("passphrase" in line and "ssh-add" in line for line in diagnostic.evidence)


def test_a_key_of_the_agent(open_host: Open, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path) -> None:
    """The encrypted key file works when an agent holds its key; the agent is the configuration's."""
    sock = tmp_path / "agent"
    ask = tmp_path / "ask"
    ask.write_text("#!/bin/sh\necho open sesame\n")
    ask.chmod(0o700)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.DEVNULL)
    try:
        rig.eventually(sock.exists, "the agent listens")
        env = {**os.environ, "SSH_AUTH_SOCK": str(sock), "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
        subprocess.run(["ssh-add", "-q", sshd.folder.encrypted], env=env, check=True, capture_output=True)
        (tmp_path / "config").write_text(f"Host *\n IdentityAgent {sock}\n")
        options = ConnectOptions(ssh_config=str(tmp_path / "config"))
        assert open_host(host_of(sshd, key=None), options).run(["true"]).exit_code == 0
        assert open_host(host_of(sshd, key=str(sshd.folder.encrypted)), options).run(["true"]).exit_code == 0
    finally:
        agent.terminate()
        agent.wait(10)


# --- nobody there


@both
def test_refused_port(open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    port = rig.free_port()
    known = sshd.known_hosts("ed25519", name=f"[127.0.0.1]:{port}")
    host = host_of(sshd, port=port, known_hosts=str(known), connection=connection)
    started = time.monotonic()
    diagnostic = refusal(open_host(host), UnreachableError).diagnostic
    assert diagnostic.code == "unreachable"
    assert "connection refused" in diagnostic.message.lower()
    assert time.monotonic() - started < 5


@both
def test_refused_port_behind_a_jump_host(open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    host = host_of(sshd, port=rig.free_port(), jump=f"root@127.0.0.1:{sshd.port}", connection=connection)
    diagnostic = refusal(open_host(host), UnreachableError).diagnostic
    assert diagnostic.code == "unreachable"
    assert "jump host" in diagnostic.message


@both
def test_unknown_name(open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    host = host_of(sshd, address="no-such-host.invalid", connection=connection)
    diagnostic = refusal(open_host(host), UnreachableError).diagnostic
    assert diagnostic.code == "unreachable"
    assert "no-such-host.invalid" in diagnostic.message


@both
def test_a_port_that_never_speaks(open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = host_of(sshd, port=server.getsockname()[1], connection=connection)
        started = time.monotonic()
        options = ConnectOptions(ssh_config="/dev/null", connect_timeout=1, attempts=3)
        diagnostic = refusal(open_host(host, options), UnreachableError).diagnostic
        assert diagnostic.code == "unreachable"
        assert time.monotonic() - started < 6


NONSENSE = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"SSH-1.5-ancient\r\n",
    b"SSH-2.0-x\r\n" + bytes(range(256)) * 20,
    b"SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14" + b"\0" * 40,
    b"\x1b[2J\x00\xff" * 100,
]


@both
@pytest.mark.parametrize("said", NONSENSE, ids=range(len(NONSENSE)))
def test_a_port_that_speaks_nonsense(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str, said: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, contextlib.suppress(OSError):
                    client.sendall(said)
                    client.settimeout(0.2)
                    while client.recv(65536):
                        pass

        threading.Thread(target=talk, daemon=True).start()
        host = host_of(sshd, port=server.getsockname()[1], connection=connection)
        options = ConnectOptions(ssh_config="/dev/null", connect_timeout=2, attempts=2, jitter=lambda: 0.0)
        diagnostic = refusal(open_host(host, options), UnreachableError).diagnostic
        assert "\x1b" not in repr(diagnostic)
        server.shutdown(socket.SHUT_RDWR)


@both
def test_connections_that_sshd_drops_are_tried_again(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str
) -> None:
    proxy = rig.Proxy(sshd.port, drops=2)
    try:
        known = sshd.known_hosts("ed25519", name=f"[127.0.0.1]:{proxy.port}")
        host = host_of(sshd, port=proxy.port, known_hosts=str(known), connection=connection)
        options = ConnectOptions(ssh_config="/dev/null", attempts=4, jitter=lambda: 0.0)
        assert open_host(host, options).run(["true"]).exit_code == 0
        assert proxy.accepted == 3
    finally:
        proxy.close()


@both
def test_a_host_that_always_drops_is_given_up(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str
) -> None:
    proxy = rig.Proxy(sshd.port, drops=1000)
    try:
        host = host_of(sshd, port=proxy.port, connection=connection)
        options = ConnectOptions(ssh_config="/dev/null", attempts=3, jitter=lambda: 0.0)
        diagnostic = refusal(open_host(host, options), UnreachableError).diagnostic
        assert diagnostic.code == "unreachable"
        assert proxy.accepted == 3
    finally:
        proxy.close()


@pytest.mark.parametrize("address", ["-oProxyCommand=touch /tmp/x", "a b", "$(id)", "a;b", "`id`", "a\nb", "|x"])
@both
def test_addresses_that_are_none(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str, address: str
) -> None:
    diagnostic = refusal(open_host(host_of(sshd, address=address, connection=connection)), HostError).diagnostic
    assert diagnostic.code == "bad-address"


# --- Docker


def docker_refusal(open_host: Open, host: object) -> DockerError:
    opened = open_host(host)
    with pytest.raises(DockerError) as caught:
        ask(opened.engine(), "/_ping")
    with pytest.raises(DockerError) as again:
        opened.docker()
    assert again.value.diagnostic.code == caught.value.diagnostic.code
    assert caught.value.diagnostic.host == "box"
    assert caught.value.diagnostic.hint
    return caught.value


@both
def test_no_permission(open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    diagnostic = docker_refusal(open_host, host_of(sshd, user="guest", connection=connection)).diagnostic
    assert diagnostic.code == "docker-denied"
    assert "guest" in diagnostic.message
    assert diagnostic.hint is not None
    assert "usermod -aG docker guest" in diagnostic.hint


@both
def test_no_permission_without_forwarding(open_host: Open, host_of: HostOf, shut: rig.Sshd, connection: str) -> None:
    host = host_of(shut, user="guest", connection=connection)
    assert docker_refusal(open_host, host).diagnostic.code == "docker-denied"


@both
@pytest.mark.parametrize("server", ["sshd", "shut"])
def test_engine_is_down(
    open_host: Open, host_of: HostOf, request: pytest.FixtureRequest, tmp_path: Path, connection: str, server: str
) -> None:
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(dead))
    for path in (dead, tmp_path / "absent.sock"):
        host = host_of(request.getfixturevalue(server), docker={"socket": str(path)}, connection=connection)
        diagnostic = docker_refusal(open_host, host).diagnostic
        assert diagnostic.code == "docker-down"
        assert str(path) in diagnostic.message


@pytest.mark.parametrize("absent", [True, False])
def test_engine_is_down_here(open_host: Open, tmp_path: Path, absent: bool) -> None:
    from deployer.spec.language import Host

    path = tmp_path / "dead.sock"
    if not absent:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
    host = Host(connection="local", docker={"socket": str(path)})  # type: ignore[arg-type]
    assert docker_refusal(open_host, host).diagnostic.code == "docker-down"


@both
def test_no_docker_at_all(
    folder: rig.Folder, open_host: Open, host_of: HostOf, tmp_path: Path, connection: str
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    tmp_path.chmod(0o755)
    for tool in ("sh", "id", "cat", "env"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    settings = (f"SetEnv PATH={tools}",)
    with rig.started(rig.Sshd(folder, f"bare-{connection}", settings)) as server:
        host = host_of(server, docker={"socket": "/no/docker.sock"}, connection=connection)
        assert docker_refusal(open_host, host).diagnostic.code == "docker-missing"


@both
def test_something_else_holds_the_socket(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path, connection: str
) -> None:
    path = tmp_path / "odd.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(65536)
                    client.sendall(b"220 smtp.example ESMTP\r\n")

        threading.Thread(target=answer, daemon=True).start()
        opened = open_host(host_of(sshd, docker={"socket": str(path)}, connection=connection))
        with pytest.raises(DockerError) as caught:
            opened.docker()
        assert caught.value.diagnostic.code == "docker-down"
        server.shutdown(socket.SHUT_RDWR)


# --- sudo


@both
def test_sudo_reaches_docker_and_files(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path, connection: str
) -> None:
    opened = open_host(host_of(sshd, user="ops", become="sudo", connection=connection))
    assert opened.run(["id", "-u"]).stdout == b"0\n"
    assert opened.docker().ping() is True
    opened.put(f"{tmp_path}/root-only", b"x", mode=0o600)
    assert (tmp_path / "root-only").stat().st_uid == 0
    assert opened.run(["no-such-command-here"]).exit_code != 0


@both
def test_sudo_that_wants_a_password(open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    host = host_of(sshd, user="guest", become="sudo", connection=connection)
    with pytest.raises(DockerError) as caught:
        open_host(host).run(["true"])
    assert caught.value.diagnostic.code == "sudo-denied"
    assert docker_refusal(open_host, host).diagnostic.code == "sudo-denied"


@both
def test_a_sudo_command_that_takes_too_long_is_ended(
    open_host: Open, host_of: HostOf, sshd: rig.Sshd, connection: str
) -> None:
    from tests.contract.transport.test_every_transport import running

    opened = open_host(host_of(sshd, user="ops", become="sudo", connection=connection))
    with pytest.raises(HostError) as caught:
        opened.run(["sleep", "64.8811"], timeout=1)
    assert caught.value.diagnostic.code == "command-timeout"
    rig.eventually(lambda: not running("64.8811"), "the command is gone", 5)


# --- forwarding forbidden


@both
def test_docker_without_forwarding(open_host: Open, host_of: HostOf, shut: rig.Sshd, connection: str) -> None:
    opened = open_host(host_of(shut, connection=connection))
    client = opened.docker()
    assert client.ping() is True
    stream = client.events(decode=True)
    stream.close()
    for _ in range(12):  # more than sshd has sessions: each is given back
        connection_ = opened.engine()
        connection_.request("GET", "/version")
        assert connection_.getresponse().read()
        connection_.close()


@both
def test_http_without_forwarding(open_host: Open, host_of: HostOf, shut: rig.Sshd, web: int, connection: str) -> None:
    opened = open_host(host_of(shut, connection=connection))
    with pytest.raises(HostError) as caught:
        ask(opened.http("127.0.0.1", web, timeout=10), "/")
    assert caught.value.diagnostic.code == "forwarding-refused"
    assert caught.value.diagnostic.hint is not None
    assert "AllowTcpForwarding" in caught.value.diagnostic.hint
