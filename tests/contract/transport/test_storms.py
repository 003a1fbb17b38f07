"""Many hosts at once against a real sshd with the limits it comes with: none is lost, nothing grows without bound."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deployer.errors import UnreachableError
from deployer.spec.language import Host
from deployer.transport import ConnectOptions, Transport
from deployer.transport.fleet import Fleet
from tests.contract.transport import rig
from tests.contract.transport.conftest import HostOf
from tests.contract.transport.test_connections import QUIET, SCRIPT, logins, sessions_of

pytestmark = pytest.mark.lab

HOSTS = 32
LIMITS_OF_SSHD = ("MaxStartups 10:30:100", "MaxSessions 10")  # man sshd_config


def true(transport: Transport) -> int:
    return transport.run(["true"]).exit_code


def known_both(folder: rig.Folder, *servers: rig.Sshd) -> str:
    file = folder.path / f"known_{'_'.join(server.name for server in servers)}"
    file.write_text("".join(server.known_hosts("ed25519").read_text() for server in servers))
    return str(file)


def test_a_storm_on_one_sshd_loses_no_host(folder: rig.Folder, host_of: HostOf) -> None:
    """It drops at random from the tenth login at once on, and all from the twelfth on."""
    with rig.started(rig.Sshd(folder, "full", ("MaxStartups 10:30:12", "MaxSessions 10"))) as server:
        hosts = {f"h{n}": host_of(server) for n in range(HOSTS)}
        with Fleet(hosts, QUIET) as fleet:
            assert fleet.map(hosts, true, limit=HOSTS) == dict.fromkeys(hosts, 0)
        assert logins(server) == HOSTS


def test_a_storm_behind_one_jump_host_is_one_login_there(folder: rig.Folder, host_of: HostOf) -> None:
    """Its limits do not matter: one connection, which opens no session (channels to other hosts are none)."""
    with (
        rig.started(rig.Sshd(folder, "behind", LIMITS_OF_SSHD)) as server,
        rig.started(rig.Sshd(folder, "narrow", ("MaxStartups 1:100:1", "MaxSessions 0"))) as bastion,
    ):
        known, jump = known_both(folder, server, bastion), f"root@127.0.0.1:{bastion.port}"
        hosts = {f"h{n}": host_of(server, jump=jump, known_hosts=known) for n in range(HOSTS)}
        with Fleet(hosts, QUIET) as fleet:
            assert fleet.map(hosts, true, limit=HOSTS) == dict.fromkeys(hosts, 0)
            assert fleet.map(hosts, true, limit=HOSTS) == dict.fromkeys(hosts, 0)
        assert (logins(bastion), logins(server)) == (1, HOSTS)


def test_threads_are_bounded_by_hosts_and_what_runs_at_once(folder: rig.Folder, host_of: HostOf) -> None:
    at_once, seen = 4, [0]

    def watched(transport: Transport) -> int:
        code = true(transport)
        seen[0] = max(seen[0], threading.active_count())
        return code

    with rig.started(rig.Sshd(folder, "threads", LIMITS_OF_SSHD)) as server:
        hosts = {f"h{n}": host_of(server) for n in range(HOSTS)}
        before = threading.active_count()
        with Fleet(hosts, QUIET) as fleet:
            assert fleet.map(hosts, watched, limit=at_once) == dict.fromkeys(hosts, 0)
        assert HOSTS <= seen[0] - before <= HOSTS + 3 * at_once, "one a connection; a worker and two timers at work"
    rig.eventually(lambda: threading.active_count() <= before, "all threads end with the fleet", 10)


@pytest.mark.parametrize("behind_a_jump_host", [False, True])
def test_one_that_never_speaks_holds_up_no_other(
    folder: rig.Folder, host_of: HostOf, sshd: rig.Sshd, behind_a_jump_host: bool
) -> None:
    others = {f"h{n}": host_of(sshd) for n in range(8)}
    left, all_others_done = set(others), threading.Event()

    def work(transport: Transport) -> int:
        code = true(transport)
        left.discard(transport.name)
        if not left:
            all_others_done.set()
        return code

    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = {"a-slow-one": host_of(sshd, port=silent.getsockname()[1]), **others}
        if behind_a_jump_host:
            jump = {"jump": (f"root@127.0.0.1:{sshd.port}",)}
            hosts = {name: host.model_copy(update=jump) for name, host in hosts.items()}

        def hang_up() -> None:
            client, _ = silent.accept()
            if all_others_done.wait(60):
                client.close()

        threading.Thread(target=hang_up, daemon=True).start()
        with Fleet(hosts, ConnectOptions(ssh_config="/dev/null", connect_timeout=90, attempts=1)) as fleet:
            done = fleet.map(hosts, work, limit=2)
    assert all_others_done.is_set()
    failed = done.pop("a-slow-one")
    assert isinstance(failed, UnreachableError)
    assert "a-slow-one" in failed.diagnostic.message
    assert done == dict.fromkeys(others, 0)


@pytest.mark.parametrize("connection", ["ssh", "openssh"])
def test_a_jump_host_that_is_down_is_waited_for_once(host_of: HostOf, sshd: rig.Sshd, connection: str) -> None:
    """Two hosts at a time would wait for it one after the other; every host says that it is behind it."""
    proxy = rig.Proxy(sshd.port, drops=1000)
    try:
        jump = f"root@127.0.0.1:{proxy.port}"
        hosts = {f"h{n}": host_of(sshd, jump=jump, connection=connection) for n in range(12)}
        with Fleet(hosts, ConnectOptions(ssh_config="/dev/null", attempts=1)) as fleet:
            done = fleet.map(hosts, true, limit=2)
        assert proxy.accepted == 1
    finally:
        proxy.close()
    for name, failed in done.items():
        assert isinstance(failed, UnreachableError)
        assert failed.diagnostic.host == name
        assert f"host `{name}` cannot be reached through its jump host" in failed.diagnostic.message


FEW_FILES = f"""
import resource, sys
from deployer.spec.language import Host
from deployer.transport import ConnectOptions
from deployer.transport.fleet import Fleet
resource.setrlimit(resource.RLIMIT_NOFILE, (24, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
host = Host.model_validate_json(sys.argv[1])
hosts = {{f"h{{n}}": host for n in range({HOSTS})}}
with Fleet(hosts, ConnectOptions(ssh_config="/dev/null")) as fleet:
    print(sorted(fleet.map(hosts, lambda transport: transport.run(["true"]).exit_code).values()))
"""


def test_more_hosts_than_a_shell_lets_open_files(host_of: HostOf, sshd: rig.Sshd) -> None:
    argv = [sys.executable, "-c", FEW_FILES, host_of(sshd).model_dump_json(exclude_defaults=True)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == f"{[0] * HOSTS}\n", done.stderr[-2000:]


def test_sshd_says_that_it_dropped_some(folder: rig.Folder, host_of: HostOf) -> None:
    """The storm of these tests is one: without another try, hosts are lost."""
    with rig.started(rig.Sshd(folder, "strict", ("MaxStartups 1:100:1",))) as server:
        hosts = {f"h{n}": host_of(server) for n in range(8)}
        once = ConnectOptions(ssh_config="/dev/null", attempts=1)
        with Fleet(hosts, once) as fleet:
            done = fleet.map(hosts, true, limit=len(hosts))
        lost = [answer for answer in done.values() if isinstance(answer, UnreachableError)]
        assert lost
        assert "MaxStartups" in (lost[0].diagnostic.hint or "")
        rig.eventually(lambda: re.search(r"MaxStartups", Path(server.log).read_text()) is not None, "sshd says so", 10)
        with Fleet(hosts, QUIET) as fleet:
            assert fleet.map(hosts, true, limit=len(hosts)) == dict.fromkeys(hosts, 0)


def test_hosts_of_the_system_ssh_share_its_one_connection_to_their_jump_host(
    folder: rig.Folder, host_of: HostOf
) -> None:
    with (
        rig.started(rig.Sshd(folder, "behind-openssh", LIMITS_OF_SSHD)) as server,
        rig.started(rig.Sshd(folder, "narrow-openssh", ("MaxStartups 1:100:1", "MaxSessions 0"))) as bastion,
    ):
        known, jump = known_both(folder, server, bastion), f"root@127.0.0.1:{bastion.port}"
        hosts: dict[str, Host] = {
            f"h{n}": host_of(server, jump=jump, known_hosts=known, connection="openssh") for n in range(12)
        }
        with Fleet(hosts, QUIET) as fleet:
            assert fleet.map(hosts, true, limit=len(hosts)) == dict.fromkeys(hosts, 0)
        assert (logins(bastion), logins(server)) == (1, len(hosts))


def test_a_connection_to_a_jump_host_that_the_user_has_open_is_used(
    folder: rig.Folder, host_of: HostOf, sshd: rig.Sshd, tmp_path: Path
) -> None:
    """It may have taken a one-time password: here the host forgets the key once the user is in."""
    with rig.started(rig.Sshd(folder, "by-token", (f"AuthorizedKeysFile {tmp_path}/keys",))) as bastion:
        (tmp_path / "keys").write_text(rig.public(folder.key))
        tmp_path.chmod(0o755)
        config = tmp_path / "config"
        config.write_text(
            f"Host bastion\n HostName 127.0.0.1\n Port {bastion.port}\n User root\n IdentityFile {folder.key}\n"
            f" UserKnownHostsFile {known_both(folder, sshd, bastion)}\n ControlPath {folder.path.parent}/%C\n"
        )
        by_hand = ["ssh", "-F", str(config), "-M", "-f", "-N", "-o", "BatchMode=yes", "bastion"]
        subprocess.run(by_hand, check=True, stdin=subprocess.DEVNULL, timeout=30)
        (tmp_path / "keys").write_text("")
        try:
            host = host_of(sshd, jump="bastion", connection="openssh")
            with Fleet({"a": host}, ConnectOptions(ssh_config=str(config))) as fleet:
                assert true(fleet["a"]) == 0
        finally:
            subprocess.run(["ssh", "-F", str(config), "-O", "exit", "bastion"], check=True, capture_output=True)


@pytest.mark.parametrize("end", ["exits", "killed"])
@pytest.mark.parametrize("connection", ["ssh", "openssh"])
def test_the_way_through_a_jump_host_ends_with_the_controller(
    folder: rig.Folder, host_of: HostOf, sshd: rig.Sshd, connection: str, end: str
) -> None:
    with rig.started(rig.Sshd(folder, f"jump-{connection}-{end}")) as bastion:
        jump = f"root@127.0.0.1:{bastion.port}"
        host = host_of(sshd, jump=jump, known_hosts=known_both(folder, sshd, bastion), connection=connection)
        argv = [sys.executable, "-c", SCRIPT, host.model_dump_json(exclude_defaults=True), end]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == "up\n", done.stderr
        rig.eventually(lambda: not sessions_of(bastion), "sshd sees the connection end", 10)
        rig.eventually(lambda: f"-p {bastion.port} " not in processes(), "the system's ssh ends", 10)


def processes() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
