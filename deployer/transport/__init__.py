"""How deployer reaches hosts. Importing it is cheap: paramiko, fabric and the Docker SDK come with the first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.transport.base import Completed, ConnectOptions, Transport

if TYPE_CHECKING:
    from deployer.spec.language import Host
    from deployer.transport.link import Jumps

__all__ = ["Completed", "ConnectOptions", "Transport", "open_transport"]


def open_transport(name: str, host: Host, options: ConnectOptions, jumps: Jumps | None = None) -> Transport:
    """The transport a host's `connection` asks for; it connects at its first use.

    Hosts that share `jumps` share the connections to their jump hosts.
    """
    match host.connection:
        case "local":
            from deployer.transport.local import LocalTransport

            return LocalTransport(name, host)
        case "openssh":
            from deployer.transport.openssh import OpensshTransport

            return OpensshTransport(name, host, options)
        case "ssh":
            from deployer.transport.link import Jumps
            from deployer.transport.ssh import SshTransport

            return SshTransport(name, host, options, jumps or Jumps(options))
