"""SSH from socket to authenticated session, through fabric; turns what paramiko raises into our errors.

Imported late (fabric is heavy).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fabric
import paramiko

from deployer.errors import Diagnostic, HostError
from deployer.transport.failures import cause_of, one_line, unreachable
from deployer.transport.hostkeys import HostKeyCheck
from deployer.transport.keys import KeyAuth
from deployer.transport.link import Dropped, auth_refused
from deployer.transport.session import Session
from deployer.transport.sshconfig import Endpoint

AUTH_TIMEOUT = 30.0  # seconds for each key: PAM and DNS on the host are slow at times


def bare_config() -> Any:
    """fabric without its own files and SSH configuration, both resolved before; not to be shared between threads."""
    return fabric.Config(lazy=True, overrides={"load_ssh_configs": False})


def connect(host: str, endpoint: Endpoint, sock: Any, timeout: float) -> Any:
    """An open fabric.Connection on `sock`. Dropped, or a HostError that names the host."""
    if endpoint.own_key and not Path(endpoint.own_key).is_file():
        raise HostError(
            Diagnostic(
                "key-missing",
                f"host `{host}`: its key file `{endpoint.own_key}` does not exist",
                host=host,
                hint="correct the host's `key`, or leave it out to use the agent and the usual keys",
            )
        )
    check, auth = HostKeyCheck.of(host, endpoint), KeyAuth(endpoint)
    connection = fabric.Connection(
        endpoint.hostname,
        user=endpoint.user,
        port=endpoint.port,
        config=bare_config(),
        gateway=False,
        forward_agent=False,
        connect_timeout=max(1, round(timeout)),
        connect_kwargs={
            "sock": sock,
            "transport_factory": lambda sock, **kwargs: Session(sock, host_key_kinds=check.kinds, **kwargs),
            "auth_strategy": auth,
            "banner_timeout": timeout,
            "auth_timeout": AUTH_TIMEOUT,
            "channel_timeout": timeout,
        },
    )
    connection.client.set_missing_host_key_policy(check)
    opened(host, endpoint, connection, auth)
    return connection


def opened(host: str, endpoint: Endpoint, connection: Any, auth: KeyAuth) -> None:
    try:
        connection.open()
    except HostError:
        close_half_open(connection)
        raise
    except paramiko.AuthenticationException as error:
        close_half_open(connection)
        raise auth_refused(host, endpoint, auth.tried) from error
    except Exception as error:  # whatever a hostile host made paramiko's thread stumble over comes out here
        transport = connection.client.get_transport()
        greeted = transport is not None and transport.remote_version.startswith("SSH-")
        close_half_open(connection)
        raise failure(host, endpoint, error, greeted) from error


def close_half_open(connection: Any) -> None:
    connection.client.close()


def failure(host: str, endpoint: Endpoint, error: Exception, greeted: bool) -> Exception:
    """What went wrong between the TCP connection and the login."""
    if isinstance(error, paramiko.IncompatiblePeer):
        return unreachable(
            host,
            endpoint.target,
            f"no SSH algorithm in common: {one_line(error)}",
            hint="set `connection: openssh` for this host",
        )
    under = error.__context__ if isinstance(error.__context__, OSError | EOFError) else error
    if not greeted and isinstance(under, EOFError | ConnectionError):
        return Dropped(cause_of(under) if isinstance(under, OSError) else "end of file")
    if isinstance(under, TimeoutError) or "No existing session" in str(error):
        return unreachable(host, endpoint.target, "connected, but SSH did not answer in time")
    if isinstance(under, EOFError | ConnectionError):
        return unreachable(host, endpoint.target, "the connection was closed while SSH began")
    return unreachable(host, endpoint.target, cause_of(under))
