"""The verdict on a host's key, strictly: known, or a HostKeyError that says what to do. Never adds or asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deployer.errors import Diagnostic, HostKeyError
from deployer.transport.knownhosts import (
    KnownKey,
    Trust,
    Verdict,
    fingerprint,
    judge,
    key_kind,
    known_kinds,
    load_known_hosts,
)
from deployer.transport.sshconfig import Endpoint

LAX = ("no", "off", "false", "accept-new")


@dataclass(frozen=True, slots=True)
class HostKeyCheck:
    """paramiko's missing-host-key policy, asked for every host key since its own list stays empty."""

    host: str
    endpoint: Endpoint
    known: tuple[KnownKey, ...]

    @classmethod
    def of(cls, host: str, endpoint: Endpoint) -> HostKeyCheck:
        return cls(host, endpoint, load_known_hosts(endpoint.known_hosts))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Host key algorithms to ask for first: an RSA key is known by one name and signs by others."""
        found: list[str] = []
        for kind in known_kinds(self.known, self.endpoint.known_as):
            found += ["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else []
            found.append(kind)
        return tuple(found)

    def missing_host_key(self, client: object, hostname: str, key: Any) -> None:
        blob = bytes(key.asbytes())
        verdict = judge(self.known, self.endpoint.known_as, blob)
        if verdict.trust is not Trust.KNOWN:
            raise HostKeyError(diagnose(self.host, self.endpoint, blob, verdict))


def diagnose(host: str, endpoint: Endpoint, blob: bytes, verdict: Verdict) -> Diagnostic:
    kind, print_ = key_kind(blob), fingerprint(blob)
    shown = f"{kind} {print_}"
    match verdict:
        case Verdict(Trust.REVOKED, KnownKey() as line):
            return Diagnostic(
                "host-key-revoked",
                f"the key of host `{host}` ({endpoint.target}) is revoked",
                evidence=(f"shown: {shown}", f"revoked by {line.where}"),
                host=host,
                hint="give the host a new key; a revoked one may be in other hands",
            )
        case Verdict(Trust.CHANGED, KnownKey() as line):
            return Diagnostic(
                "host-key-changed",
                f"the key of host `{host}` ({endpoint.target}) is not the known one",
                evidence=(f"shown: {shown}", f"known: {line.kind} {fingerprint(line.blob)} at {line.where}"),
                host=host,
                hint="if the host was set up anew, compare the fingerprint on its console, then "
                f"`ssh-keygen -R '{endpoint.known_as}' -f {line.file}` and add the new key",
            )
        case _:
            return Diagnostic(
                "host-key-unknown",
                f"the key of host `{host}` ({endpoint.target}) is in no known_hosts file",
                evidence=(
                    f"shown: {shown}",
                    *strictness(endpoint),
                    f"looked in {', '.join(endpoint.known_hosts) or 'no file'}",
                ),
                host=host,
                hint=f"compare the fingerprint on the host's console, then `{adding(endpoint, kind)}`",
            )


def strictness(endpoint: Endpoint) -> tuple[str, ...]:
    if endpoint.strict.lower() not in LAX:
        return ()
    return (
        f"`StrictHostKeyChecking {endpoint.strict}` of the SSH configuration does not count here: keys must be known",
    )


def adding(endpoint: Endpoint, kind: str) -> str:
    """The command that adds the key: a scan where the host is reached directly, ssh itself behind others."""
    if endpoint.jumps or endpoint.proxy_command or endpoint.host_key_alias:
        return f"ssh {endpoint.alias} true"
    file = endpoint.known_hosts[0] if endpoint.known_hosts else "~/.ssh/known_hosts"
    port = f"-p {endpoint.port} " if endpoint.port != 22 else ""
    short = kind.removeprefix("ssh-").split("-")[0]
    return f"ssh-keyscan -t {short} {port}{endpoint.hostname} >> {file}"
