"""Whose a listening socket is."""

from __future__ import annotations

from deployer.engine.probe_listeners import owned_listeners
from deployer.formats.sockets import ListeningSocket, SocketOwner
from deployer.values.container import ContainerSpec, PortBinding
from deployer.values.facts import ContainerStatus, ObservedContainer, Recorded
from deployer.values.names import ReplicaKey


def container(
    name: str, *ports: tuple[str, int, str], status: ContainerStatus = "running", network: str = "bridge"
) -> ObservedContainer:
    return ObservedContainer(
        id=name[0] * 64, name=name, image="i", image_id="", status=status, ports=ports, network=network
    )


def owner(
    socket: ListeningSocket,
    process: SocketOwner | None = None,
    *containers: ObservedContainer,
    inside: str | None = None,
) -> str | None:
    owners = {socket.inode: process} if process else {}
    pids = {process.pid: (inside,)} if process and inside else {}
    (found,) = owned_listeners([socket], owners, pids, containers)
    assert (found.address, found.port, found.protocol) == (socket.address, socket.port, socket.protocol)
    return found.owner


WEB = ListeningSocket("127.0.0.1", 8000, "tcp", 1)
ANY = ListeningSocket("0.0.0.0", 8000, "tcp", 2)
PROXY = SocketOwner("docker-proxy", 77)
CHAT = container("chat", ("127.0.0.1", 8000, "tcp"))


def test_a_proxy_listens_for_its_container() -> None:
    assert owner(WEB, PROXY, CHAT) == "container chat"
    assert owner(WEB, None, CHAT) == "container chat", "another user's processes are not visible"


def test_a_proxy_without_a_container_is_a_leftover() -> None:
    assert owner(WEB, PROXY) == "leftover docker-proxy (pid 77)"
    assert owner(WEB, PROXY, container("gone", ("127.0.0.1", 8000, "tcp"), status="exited")) == (
        "leftover docker-proxy (pid 77)"
    )


def test_the_daemon_listens_for_containers_where_it_has_no_proxies() -> None:
    daemon = SocketOwner("dockerd", 5)
    assert owner(WEB, daemon, CHAT) == "container chat"
    assert owner(WEB, daemon) == "process dockerd (pid 5)"


def test_each_address_has_its_own_container() -> None:
    other = container("other", ("10.0.0.1", 8000, "tcp"))
    assert owner(WEB, PROXY, other, CHAT) == "container chat"
    assert owner(ANY, PROXY, CHAT) == "leftover docker-proxy (pid 77)"
    assert owner(WEB, PROXY, container("wild", ("0.0.0.0", 8000, "tcp"))) == "container wild"


def test_protocols_are_apart() -> None:
    assert owner(WEB, None, container("udp", ("127.0.0.1", 8000, "udp"))) is None


def test_processes_and_the_unseen() -> None:
    assert owner(WEB, SocketOwner("nginx", 5), CHAT) == "process nginx (pid 5)"
    assert owner(WEB) is None


def test_a_process_inside_of_a_container() -> None:
    hosted = container("hosted", network="host")
    assert owner(ANY, SocketOwner("llama-server", 9), hosted, inside="h" * 64) == "container hosted"
    assert owner(ANY, SocketOwner("llama-server", 9), hosted, inside="x" * 64) == "process llama-server (pid 9)"


def test_our_container_on_the_hosts_network_is_known_by_its_record() -> None:
    spec = ContainerSpec("i", network="host", ports=(PortBinding(8000, 8000, "0.0.0.0"),))
    recorded = Recorded("lab", "", ReplicaKey("chat", 0), 0, "replica", "0" * 12, spec)
    ours = ObservedContainer("o" * 64, "ours", "i", "", "running", recorded, network="host")
    assert owner(ANY, None, ours) == "container ours"
