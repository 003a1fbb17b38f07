"""Whose a listening socket is: a container's, a process's, or not to be seen. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deployer.formats.sockets import ListeningSocket, SocketOwner
from deployer.values.facts import Listener, ObservedContainer

PROXY = "docker-proxy"
PROXIES = (PROXY, "dockerd", "rootlesskit", "rootlessport", "slirp4netns", "pasta", "conmon")  # listen for a container
WILDCARDS = ("0.0.0.0", "::")
LIVE = ("running", "paused", "restarting")
Port = tuple[int, str]


def owned_listeners(
    sockets: Sequence[ListeningSocket],
    owners: Mapping[int, SocketOwner],
    pids: Mapping[int, Sequence[str]],
    containers: Sequence[ObservedContainer],
) -> tuple[Listener, ...]:
    """`owners` by inode; `pids`: the containers that a process is in. A proxy without its container is a leftover."""
    names = {c.id: c.name for c in containers}
    published: dict[Port, dict[str, str]] = {}
    for container in containers:
        for address, port, protocol in _ports(container):
            published.setdefault((port, protocol), {})[address] = container.name
    found = []
    for socket in sockets:
        process = owners.get(socket.inode)
        inside = next((names[i] for i in pids.get(process.pid, ()) if i in names), None) if process else None
        if inside is None and (process is None or process.name in PROXIES):
            inside = _publisher(socket, published.get((socket.port, socket.protocol), {}))
        found.append(Listener(socket.address, socket.port, socket.protocol, _owner(inside, process)))
    return tuple(found)


def _ports(container: ObservedContainer) -> Iterator[tuple[str, int, str]]:
    """Published ports; on the host's network those that the record of our own container names."""
    if container.status not in LIVE:
        return
    yield from container.ports
    spec = container.recorded.spec if container.recorded is not None else None
    if container.network == "host" and spec is not None:
        yield from ((port.bind, port.host, port.protocol) for port in spec.ports)


def _publisher(socket: ListeningSocket, by_address: Mapping[str, str]) -> str | None:
    exact = by_address.get(socket.address)
    return exact or next((by_address[address] for address in WILDCARDS if address in by_address), None)


def _owner(container: str | None, process: SocketOwner | None) -> str | None:
    if container is not None:
        return f"container {container}"
    if process is None:
        return None
    return f"{'leftover' if process.name == PROXY else 'process'} {process.name} (pid {process.pid})"
