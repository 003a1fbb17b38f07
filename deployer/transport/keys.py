"""Which keys are tried, in which order, and what became of each. Never asks a person, never shows key material.

Imported late (paramiko is heavy).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
from paramiko.agent import AgentSSH

from deployer.transport.failures import one_line
from deployer.transport.sshconfig import Endpoint

AGENT_TIMEOUT = 30.0  # seconds; a key may want to be confirmed
OPENSSH_MAGIC = b"openssh-key-v1\0"


class KeyAuth:
    """paramiko's auth strategy: the spec's key, the agent's keys, the key files, then no key at all.

    `tried` says afterwards what was tried, for the error.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._agent: AgentSSH | None = None
        self.tried: list[str] = []

    def authenticate(self, transport: Any) -> list[str]:
        try:
            for what, key in self._keys():
                if self._accepts(transport, what, key):
                    return []
                if not transport.is_active():
                    self.tried.append("then the host hung up: too many keys")
                    break
            if transport.is_active() and self._accepts(transport, "no key", None):
                return []
        finally:
            if self._agent is not None:
                self._agent._close()
        raise paramiko.AuthenticationException("no key was accepted")

    def _accepts(self, transport: Any, what: str, key: Any) -> bool:
        user = self._endpoint.user
        try:
            more = transport.auth_none(user) if key is None else transport.auth_publickey(user, key)
        except paramiko.BadAuthenticationType as error:
            self.tried.append(f"{what}: the host only takes {', '.join(map(one_line, error.allowed_types))}")
            return False
        except (paramiko.SSHException, EOFError, OSError, ValueError, AttributeError) as error:
            reason = "refused" if isinstance(error, paramiko.AuthenticationException) else one_line(error)
            self.tried.append(f"{what}: {reason}")
            return False
        if more:
            self.tried.append(f"{what}: accepted, but the host also wants {', '.join(map(one_line, more))}")
        return not more

    def _keys(self) -> Iterator[tuple[str, Any]]:
        agent = self._agent_keys()
        files = [path for path in self._endpoint.keys if Path(path).is_file()]
        offered: set[bytes] = set()
        for path in [self._endpoint.own_key] if self._endpoint.own_key else []:
            yield from self._file(path, agent, offered)
        named = {blob for path in files if (blob := public_blob(path))}
        for key in sorted(agent, key=lambda k: k.asbytes() not in named):
            if key.asbytes() not in offered and (key.asbytes() in named or not self._endpoint.identities_only):
                offered.add(key.asbytes())
                yield f"agent key {one_line(key.comment) or key.get_name()}", key
        for path in files:
            yield from self._file(path, agent, offered)

    def _file(self, path: str, agent: tuple[Any, ...], offered: set[bytes]) -> Iterator[tuple[str, Any]]:
        blob = public_blob(path)
        if blob is not None and blob in offered:
            return
        held = next((key for key in agent if key.asbytes() == blob), None)
        if held is not None:
            offered.add(held.asbytes())
            yield f"agent key {path}", held
            return
        try:
            key = paramiko.PKey.from_path(path)
        except (OSError, TypeError, ValueError, paramiko.SSHException, paramiko.UnknownKeyType) as error:
            self.tried.append(f"{path}: {why_unusable(error)}")
            return
        self._certify(path, key)
        offered.add(key.asbytes())
        yield path, key

    def _certify(self, path: str, key: Any) -> None:
        """A certificate named in the configuration belongs to the key whose name it bears."""
        for certificate in self._endpoint.certificates:
            if certificate.removesuffix("-cert.pub") == path and Path(certificate).is_file():
                with contextlib.suppress(ValueError, OSError, paramiko.SSHException):
                    key.load_certificate(certificate)

    def _agent_keys(self) -> tuple[Any, ...]:
        path = self._endpoint.agent
        if path is None:
            return ()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(AGENT_TIMEOUT)
        try:
            connection.connect(path)
            self._agent = AgentSSH()
            self._agent._connect(connection)
        except (OSError, paramiko.SSHException) as error:
            self.tried.append(f"agent {path}: {one_line(error)}")
            connection.close()
            return ()
        keys: tuple[Any, ...] = self._agent.get_keys()
        if not keys:
            self.tried.append(f"agent {path}: holds no key")
        return keys


def why_unusable(error: BaseException) -> str:
    if isinstance(error, paramiko.PasswordRequiredException | TypeError):
        return "needs a passphrase; add it to an agent with `ssh-add`"
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    if isinstance(error, paramiko.UnknownKeyType):
        return "a kind of key that only OpenSSH can use"
    return "not a private key"


def public_blob(path: str) -> bytes | None:
    """The public key of a key file, without its passphrase: from `.pub` beside it, or an OpenSSH file's clear part."""
    try:
        with contextlib.suppress(FileNotFoundError):
            return base64.b64decode(Path(path + ".pub").read_text(encoding="ascii").split()[1])
        armoured = re.search(
            r"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", Path(path).read_text("ascii"), re.DOTALL
        )
        if armoured is None:
            return None
        message = paramiko.Message(base64.b64decode(armoured[1])[len(OPENSSH_MAGIC) :])
        for _ in range(3):  # cipher, kdf and its options
            message.get_binary()
        message.get_int()
        return bytes(message.get_binary()) or None
    except (OSError, IndexError, binascii.Error, UnicodeError, ValueError):
        return None
