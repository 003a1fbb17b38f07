"""Listening sockets: /proc/net/{tcp,tcp6,udp,udp6} says which there are, `ss` whose they are. Pure.

The kernel's table is the truth: a process may call itself anything, so text of `ss` never makes a socket.
"""

from __future__ import annotations

import ipaddress
from typing import Literal

from deployer.dataclass import dataclass
from deployer.formats.text import lines, one_line, whole_number
from deployer.pattern import pattern

MAX_SOCKETS = 20_000
SOCKET = pattern(r"\S*/(tcp|udp)6? ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) (\d{1,20})\Z")
USERS = pattern(r'users:\(\("(?P<name>.*?)",pid=(?P<pid>\d{1,10}),')
INODE = pattern(r" ino:(\d{1,20}) ")
FD = pattern(r"(\d{1,10}) (\d{1,20}) (.*)\Z")


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    address: str
    port: int
    protocol: Literal["tcp", "udp"]
    inode: int


@dataclass(frozen=True, slots=True)
class SocketOwner:
    name: str
    pid: int


def parse_sockets(text: str) -> tuple[ListeningSocket, ...]:
    """Of lines `/proc/net/tcp6 ADDRESS:PORT INODE` in the kernel's notation; garbage is left out."""
    found: dict[tuple[str, int, str], ListeningSocket] = {}
    for line in lines(text, MAX_SOCKETS):
        match = SOCKET.match(line)
        if match is not None:
            protocol: Literal["tcp", "udp"] = "tcp" if match[1] == "tcp" else "udp"
            one = ListeningSocket(_address(match[2]), int(match[3], 16), protocol, int(match[4]))
            found.setdefault((one.address, one.port, one.protocol), one)
    return tuple(sorted(found.values(), key=lambda s: (s.port, s.protocol, s.address)))


def _address(text: str) -> str:
    """The kernel writes an address as 32-bit words in the host's byte order, which is little-endian on all we serve."""
    words = bytes.fromhex(text)
    data = b"".join(words[n : n + 4][::-1] for n in range(0, len(words), 4))
    address = ipaddress.ip_address(data)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def parse_ss(text: str) -> dict[int, SocketOwner]:
    """inode -> owner, of `ss -Htulnpe`; sockets whose owner this user may not see are left out."""
    found: dict[int, SocketOwner] = {}
    for line in lines(text, MAX_SOCKETS):
        users, inode = USERS.search(line[:4096]), INODE.search(line[:4096] + " ")
        if users is not None and inode is not None:
            found.setdefault(int(inode[1]), SocketOwner(one_line(users["name"], 64), int(users["pid"])))
    return found


def parse_socket_fds(text: str) -> dict[int, SocketOwner]:
    """inode -> owner, of lines `PID INODE NAME` that the probe makes of /proc/PID/fd where there is no `ss`."""
    found: dict[int, SocketOwner] = {}
    for line in lines(text, MAX_SOCKETS):
        match = FD.match(line)
        if match is not None and (inode := whole_number(match[2])) is not None:
            found.setdefault(inode, SocketOwner(one_line(match[3], 64), int(match[1])))
    return found
