"""The verdict on a host's key, strictly: known, or a HostKeyError that says what to do. Never adds or asks."""

from __future__ import annotations

import time
from typing import Any

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, HostKeyError
from deployer.transport.knownfiles import load_known_hosts
from deployer.transport.knownhosts import (
    KnownKey,
    Trust,
    Verdict,
    authorities,
    bare_name,
    fingerprint,
    judge,
    key_kind,
    known_kinds,
)
from deployer.transport.sshconfig import Endpoint

CERTIFICATE = "-cert-v01@openssh.com"
CERTIFIED = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
LAX = ("no", "off", "false", "accept-new")


@dataclass(frozen=True, slots=True)
class HostKeyCheck:
    """paramiko's missing-host-key policy, asked for every host key since its own list stays empty."""

    host: str
    endpoint: Endpoint
    known: tuple[KnownKey, ...]  # lines about this host

    @classmethod
    def of(cls, host: str, endpoint: Endpoint) -> HostKeyCheck:
        return cls(host, endpoint, load_known_hosts(endpoint.known_hosts, endpoint.known_as))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Host key algorithms to ask for first: an RSA key is known by one name and signs by others."""
        name = self.endpoint.known_as
        found = [f"{kind}{CERTIFICATE}" for kind in CERTIFIED] if authorities(self.known, name) else []
        for kind in known_kinds(self.known, name):
            found += ["rsa-sha2-512", "rsa-sha2-256"] if kind == "ssh-rsa" else []
            found.append(kind)
        return tuple(found)

    def missing_host_key(self, client: object, hostname: str, key: Any) -> None:
        blob = bytes(key.asbytes())
        certificate = getattr(key, "public_blob", None)
        verdict = judge(self.known, self.endpoint.known_as, blob)
        flaw = None
        if certificate is not None and verdict.trust is not Trust.REVOKED:
            flaw, verdict = self._certified(bytes(certificate.key_blob), verdict)
        if verdict.trust is not Trust.KNOWN:
            raise HostKeyError(diagnose(self.host, self.endpoint, blob, verdict, flaw))

    def _certified(self, blob: bytes, plain: Verdict) -> tuple[str | None, Verdict]:
        """The verdict with the certificate counted; one that is no good leaves the plain key's verdict as it is."""
        from deployer.transport import hostcert

        name = self.endpoint.known_as
        certificate = hostcert.parse_certificate(blob)
        if certificate is None:
            return "it cannot be read", plain
        signer = judge(self.known, name, certificate.authority)
        if signer.trust is Trust.REVOKED:
            return None, signer
        flaw = hostcert.flaw(certificate, bare_name(name) or name, authorities(self.known, name), time.time())
        return flaw, plain if flaw else Verdict(Trust.KNOWN)


def diagnose(host: str, endpoint: Endpoint, blob: bytes, verdict: Verdict, flaw: str | None = None) -> Diagnostic:
    kind = key_kind(blob)
    shown = f"shown: {kind} {fingerprint(blob)}"
    evidence = (shown, f"its certificate does not count: {flaw}") if flaw else (shown,)
    match verdict:
        case Verdict(Trust.REVOKED, KnownKey() as line):
            return Diagnostic(
                "host-key-revoked",
                f"the key of host `{host}` ({endpoint.target}) is revoked",
                evidence=(*evidence, f"revoked by {line.where}"),
                host=host,
                hint="give the host a new key; a revoked one may be in other hands",
            )
        case Verdict(Trust.CHANGED, KnownKey() as line):
            return Diagnostic(
                "host-key-changed",
                f"the key of host `{host}` ({endpoint.target}) is not the known one",
                evidence=(*evidence, f"known: {line.kind} {fingerprint(line.blob)} at {line.where}"),
                host=host,
                hint="if the host was set up anew, compare the fingerprint on its console, then "
                f"`ssh-keygen -R '{endpoint.known_as}' -f {line.file}` and add the new key",
            )
        case _:
            looked = f"looked in {', '.join(endpoint.known_hosts) or 'no file'}"
            return Diagnostic(
                "host-key-unknown",
                f"the key of host `{host}` ({endpoint.target}) is in no known_hosts file",
                evidence=(*evidence, *strictness(endpoint), looked),
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
