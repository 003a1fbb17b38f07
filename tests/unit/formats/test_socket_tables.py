"""Listening sockets and their owners."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deployer.formats.sockets import SocketOwner, parse_socket_fds, parse_sockets, parse_ss

DATA = Path(__file__).parent / "data"
SOCKETS = parse_sockets((DATA / "proc-net.txt").read_text())


def test_sockets_as_the_kernel_lists_them() -> None:
    assert [(s.address, s.port, s.protocol) for s in SOCKETS] == [
        ("0.0.0.0", 22, "tcp"),
        ("::", 22, "tcp"),
        ("127.0.0.1", 18001, "tcp"),
        ("0.0.0.0", 18002, "udp"),
        ("::", 18002, "udp"),
        ("127.0.0.1", 20000, "tcp"),
        ("127.0.0.1", 20001, "tcp"),
        ("127.0.0.1", 20002, "tcp"),
    ]


def test_every_socket_finds_its_owner() -> None:
    owners = parse_ss((DATA / "ss.txt").read_text())
    by_port = {(s.port, s.address): owners[s.inode] for s in SOCKETS}
    assert by_port[22, "::"] == SocketOwner("sshd", 128)
    assert by_port[18001, "127.0.0.1"].name == "docker-proxy"


def test_addresses() -> None:
    said = "\n".join(
        f"/proc/net/tcp6 {address}:1F90 {n}"
        for n, address in enumerate(
            ("B80D0120000000000000000001000000", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
        )
    )
    assert {s.address for s in parse_sockets(said)} == {"2001:db8::1", "127.0.0.1", "::1"}


def test_a_process_cannot_forge_a_socket_by_its_name() -> None:
    name = 'x",pid=1,fd=3)) ino:5 \ntcp LISTEN 0 128 0.0.0.0:8000 0.0.0.0:* users:(("sshd'
    said = f'tcp LISTEN 0 128 0.0.0.0:9000 0.0.0.0:* users:(("{name}",pid=9,fd=3)) ino:77 sk:1 <->\n'
    forged = parse_ss(said)
    assert all(inode in (5, 77) for inode in forged), "at worst it lies about sockets that are there"
    assert parse_sockets(said) == ()


def test_owners_without_ss() -> None:
    said = "128 27152 sshd\n128 27153 sshd\n9 x y\n77 12 a b\x1b[31mc\n"
    assert parse_socket_fds(said) == {
        27152: SocketOwner("sshd", 128),
        27153: SocketOwner("sshd", 128),
        12: SocketOwner("a bc", 77),
    }


@given(st.text() | st.from_regex(r"/proc/net/(tcp|udp)6? [0-9A-F]{8,32}:[0-9A-F]{4} \d{1,22}"))
def test_any_text_is_read(said: str) -> None:
    for socket in parse_sockets(said):
        assert 0 <= socket.port <= 65535
    parse_ss(said)
    parse_socket_fds(said)
