"""What OpenSSH would do for an address: user, port, keys, jump hosts, known_hosts. Asks `ssh -G`, never connects."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, HostError
from deployer.transport.asking import Jump, Settings, ask_openssh

if TYPE_CHECKING:
    from deployer.spec.language import Host
    from deployer.transport.base import ConnectOptions

# What reaches ssh's command line and its `%h`; OpenSSH 9.6 refuses shell characters in both for the same reason.
ADDRESS = re.compile(r"[A-Za-z0-9_.:%\[\]][A-Za-z0-9_.:%\[\]-]*\Z")
USER = re.compile(r"[A-Za-z0-9_.\\@+$][A-Za-z0-9_.\\@+$-]*\Z")
DEFAULT_KEYS = tuple(f"~/.ssh/id_{kind}" for kind in ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk"))
USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to connect. `keys` are files in the order to try, `agent` a socket's path (None: no agent)."""

    alias: str
    hostname: str
    user: str
    port: int = 22
    keys: tuple[str, ...] = ()
    own_key: str | None = None  # the spec's, tried first; it must exist
    certificates: tuple[str, ...] = ()
    identities_only: bool = False
    agent: str | None = None
    jumps: tuple[Jump, ...] = ()
    proxy_command: str | None = None
    known_hosts: tuple[str, ...] = ()
    host_key_alias: str | None = None
    strict: str = "ask"
    connect_timeout: float | None = None

    @property
    def target(self) -> str:
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{host}:{self.port}"

    @property
    def known_as(self) -> str:
        """The name known_hosts knows it by."""
        if self.host_key_alias:
            return self.host_key_alias.lower()
        return self.hostname.lower() if self.port == 22 else f"[{self.hostname.lower()}]:{self.port}"


def resolve(name: str, host: Host, options: ConnectOptions) -> Endpoint:
    """The endpoint of a host of the inventory: what the spec says, under it what OpenSSH's configuration says."""
    alias = Jump(host.address or name, host.user, host.port)
    endpoint = resolve_alias(name, alias, options)
    if host.key is not None:
        endpoint = replace(endpoint, own_key=str(Path(host.key).expanduser()))
    if host.known_hosts is not None:
        endpoint = replace(endpoint, known_hosts=(str(Path(host.known_hosts).expanduser()),))
    if host.jump:
        jumps = tuple(parse_jump(name, part) for text in host.jump for part in text.split(","))
        endpoint = replace(endpoint, jumps=jumps, proxy_command=None)
    return endpoint


def resolve_alias(name: str, alias: Jump, options: ConnectOptions) -> Endpoint:
    """The endpoint OpenSSH would use for an alias. HostError `bad-address` for what must not reach a command line."""
    user, separator, address = alias.address.rpartition("@")
    if separator:
        alias = Jump(address, alias.user or user, alias.port)
    check_address(name, alias)
    return endpoint_from(alias, ask_openssh(name, alias, options))


def check_address(name: str, alias: Jump) -> None:
    is_address = ADDRESS.match(alias.address) and alias.address.count(":") != 1
    if is_address and (alias.user is None or USER.match(alias.user)):
        return
    wrong = alias.user if is_address else alias.address
    raise HostError(
        Diagnostic(
            "bad-address",
            f"host `{name}`: {wrong!r} is neither a host name nor an IP address nor an alias of the SSH configuration",
            host=name,
            hint="set the host's `address` to a name or IP address, `user` to a login name, and `port` apart",
        )
    )


def parse_jump(name: str, text: str) -> Jump:
    """`[user@]host[:port]`, `ssh://...` or `[::1]:22`. HostError `bad-address` otherwise."""
    rest = text.strip().removeprefix("ssh://").rstrip("/")
    user, _, rest = rest.rpartition("@")
    match = re.match(r"(?:\[(?P<ip6>[^\]]+)\]|(?P<host>[^:]+|[^:]*:[^:]*:.*?))(?::(?P<port>\d{1,5}))?\Z", rest)
    port = int(match["port"]) if match and match["port"] else None
    jump = Jump((match["ip6"] or match["host"]) if match else rest, user or None, port)
    check_address(name, jump)
    return jump


def endpoint_from(alias: Jump, settings: Settings) -> Endpoint:
    """Settings (as `ssh -G` names them) under what the alias itself says."""

    def first(keyword: str) -> str | None:
        value = next(iter(settings.get(keyword, ())), None)
        return None if value is None or value.lower() == "none" else value

    hostname = first("hostname") or alias.address
    user = alias.user or first("user") or getpass.getuser()
    port = alias.port or int(first("port") or 22)
    tokens = expander(alias.address, hostname, user, port)
    jumps = first("proxyjump")
    timeout = first("connecttimeout")
    known = [
        *split(settings, "userknownhostsfile", USER_KNOWN_HOSTS),
        *split(settings, "globalknownhostsfile", GLOBAL_KNOWN_HOSTS),
    ]
    return Endpoint(
        alias=alias.address,
        hostname=hostname.strip("[]"),
        user=user,
        port=port,
        keys=tuple(tokens(key) for key in settings.get("identityfile", DEFAULT_KEYS) if key.lower() != "none"),
        certificates=tuple(tokens(path) for path in settings.get("certificatefile", ()) if path.lower() != "none"),
        identities_only=first("identitiesonly") == "yes",
        agent=agent_socket(settings, tokens),
        jumps=tuple(parse_jump(alias.address, jump) for jump in jumps.split(",")) if jumps else (),
        proxy_command=first("proxycommand"),
        known_hosts=tuple(tokens(path) for path in known),
        host_key_alias=first("hostkeyalias"),
        strict=first("stricthostkeychecking") or "ask",
        connect_timeout=float(timeout) if timeout and timeout.isdigit() and int(timeout) > 0 else None,
    )


def split(settings: Settings, keyword: str, default: Sequence[str]) -> list[str]:
    if keyword not in settings:
        return list(default)
    return [path for value in settings[keyword] for path in value.split() if path.lower() != "none"]


def agent_socket(settings: Settings, tokens: Expander) -> str | None:
    chosen = next(iter(settings.get("identityagent", ())), "SSH_AUTH_SOCK")
    if chosen.lower() == "none":
        return None
    if chosen == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK") or None
    if chosen.startswith("$"):
        return os.environ.get(chosen.strip("${}")) or None
    return tokens(chosen)


class Expander:
    """Expands `~`, `${ENV}` and the `%` tokens of man ssh_config in a path."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = tokens

    def __call__(self, path: str) -> str:
        path = path.strip('"')
        path = re.sub(r"%(.)", lambda m: self._tokens.get(m[1], m[0]), path)
        path = re.sub(r"\$\{(\w+)\}", lambda m: os.environ.get(m[1], ""), path)
        return os.path.expanduser(path)  # noqa: PTH111 - unlike Path it leaves `~nobody/x` as it is


def expander(alias: str, hostname: str, user: str, port: int) -> Expander:
    own = socket.gethostname()
    return Expander(
        {
            "%": "%",
            "d": os.path.expanduser("~"),  # noqa: PTH111 - as above
            "h": hostname,
            "n": alias,
            "p": str(port),
            "r": user,
            "u": getpass.getuser(),
            "i": str(os.getuid()),
            "k": alias,
            "l": own,
            "L": own.partition(".")[0],
        }
    )
