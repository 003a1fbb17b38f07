"""Host certificates (OpenSSH's PROTOCOL.certkeys): is this one good for this host, by an authority we know?

Imported late (paramiko is heavy). The clock is a parameter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import paramiko

from deployer.dataclass import dataclass
from deployer.transport.failures import one_line
from deployer.transport.knownhosts import KnownKey, fingerprint, matches

SUFFIX = "-cert-v01@openssh.com"
HOST_CERTIFICATE = 2
# How many fields of the public key stand between the nonce and the serial.
KEY_FIELDS = {
    "ssh-rsa": 2,
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
}


@dataclass(frozen=True, slots=True)
class HostCertificate:
    """The fields that count. Times in seconds of Unix time."""

    kind: int
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical: bytes
    authority: bytes
    signed: bytes
    signature: bytes


def parse_certificate(blob: bytes) -> HostCertificate | None:
    """None for what is no certificate of a kind we know."""
    try:
        return read_certificate(blob)
    except (ValueError, struct.error, paramiko.SSHException):
        return None


def read_certificate(blob: bytes) -> HostCertificate | None:
    message = paramiko.Message(blob)
    fields = KEY_FIELDS.get(message.get_text().removesuffix(SUFFIX))
    if fields is None:
        return None
    for _ in range(1 + fields):  # the nonce, then the key
        message.get_binary()
    message.get_int64()  # serial
    kind = message.get_int()
    message.get_binary()  # key id
    names = paramiko.Message(message.get_binary())
    principals = []
    while names.get_remainder():
        principals.append(names.get_text())
    after, before = message.get_int64(), message.get_int64()
    critical = message.get_binary()
    message.get_binary()  # extensions
    message.get_binary()  # reserved
    authority = message.get_binary()
    signed = blob[: len(blob) - len(message.get_remainder())]
    return HostCertificate(kind, tuple(principals), after, before, critical, authority, signed, message.get_binary())


def flaw(certificate: HostCertificate, name: str, authorities: Iterable[KnownKey], now: float) -> str | None:
    """What is wrong with it for a host of this name (without its port); None: it is good."""
    if certificate.kind != HOST_CERTIFICATE:
        return "it is not a host's certificate"
    if certificate.authority not in {line.blob for line in authorities}:
        return f"it is signed by {fingerprint(certificate.authority)}, which no `@cert-authority` line names"
    if not any(matches(principal, name) for principal in certificate.principals):
        return f"it is for {one_line(', '.join(certificate.principals)) or 'no host at all'}"
    if not certificate.valid_after <= now < certificate.valid_before:
        return "it is not valid now"
    if certificate.critical:
        return "it has critical options that are not known here"
    return None if is_signed(certificate) else "its signature is wrong"


def is_signed(certificate: HostCertificate) -> bool:
    algorithm = paramiko.Message(certificate.authority).get_text()
    if algorithm not in KEY_FIELDS:
        return False
    try:
        key = paramiko.PKey.from_type_string(algorithm, certificate.authority)
        return bool(key.verify_ssh_sig(certificate.signed, paramiko.Message(certificate.signature)))
    except (paramiko.SSHException, paramiko.UnknownKeyType, ValueError):
        return False
