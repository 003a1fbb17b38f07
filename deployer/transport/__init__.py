"""How deployer reaches hosts. Importing it is cheap: paramiko, fabric and the Docker SDK come with the first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.transport.base import Completed, ConnectOptions, Transport

if TYPE_CHECKING:
    from deployer.spec.language import Host
    from deployer.transport.jumphosts import JumpHosts

__all__ = ["Completed", "ConnectOptions", "Transport", "open_transport"]


def open_transport(name: str, host: Host, options: ConnectOptions, shared: JumpHosts | None = None) -> Transport:
    """The transport a host's `connection` asks for; it connects at its first use.

    Hosts that share `shared` share the connections to their jump hosts.
    """
    if host.connection == "local":
        from deployer.transport.local import LocalTransport

        return LocalTransport(name, host)
    if shared is None:
        from deployer.transport.jumphosts import JumpHosts

        shared = JumpHosts(options)
    if host.connection == "openssh":
        from deployer.transport.openssh import OpensshTransport

        return OpensshTransport(name, host, options, shared.hops)
    from deployer.transport.ssh import SshTransport

    return SshTransport(name, host, options, shared.jumps)
