"""known_hosts as sshd(8) describes it: patterns, hashes, ports, markers. Pure: `knownfiles` reads."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache

from deployer.dataclass import dataclass

REVOKED = "@revoked"
AUTHORITY = "@cert-authority"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """One line: who it is for, as written, and the key."""

    patterns: str
    kind: str  # ssh-ed25519, ecdsa-sha2-nistp256, ssh-rsa, ...
    blob: bytes
    marker: str | None
    file: str
    line: int

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


class Trust(Enum):
    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Verdict:
    trust: Trust
    line: KnownKey | None = None  # the line that decided it


def parse_line(text: str, file: str, number: int) -> KnownKey | None:
    """None for blank lines, comments, and lines ssh would skip as well."""
    fields = text.split()
    if not fields or fields[0].startswith("#"):
        return None
    marker = fields.pop(0) if fields[0].startswith("@") else None
    if len(fields) < 3 or marker not in (None, REVOKED, AUTHORITY):
        return None
    try:
        blob = base64.b64decode(fields[2], validate=True)
    except ValueError:
        return None
    return KnownKey(fields[0], fields[1], blob, marker, file, number)


def parse_known_hosts(text: str, file: str) -> tuple[KnownKey, ...]:
    lines = (parse_line(line, file, number) for number, line in enumerate(text.split("\n"), start=1))
    return tuple(line for line in lines if line is not None)


def matches(patterns: str, name: str) -> bool:
    """Does a line's first field mean this host? A negated pattern that matches rules the line out."""
    if patterns.startswith("|"):
        return _matches_hash(patterns, name)
    found = False
    for pattern in patterns.lower().split(","):
        negated = pattern.startswith("!")
        if _wildcard(pattern.removeprefix("!")).match(name):
            if negated:
                return False
            found = True
    return found


def _matches_hash(field: str, name: str) -> bool:
    known = _salt_and_code(field)
    if known is None:
        return False
    salt, wanted = known
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), wanted)


@lru_cache(maxsize=32768)
def _salt_and_code(field: str) -> tuple[bytes, bytes] | None:
    parts = field.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return None
    try:
        return base64.b64decode(parts[2]), base64.b64decode(parts[3])
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _wildcard(pattern: str) -> re.Pattern[str]:
    """`*` and `?` only: fnmatch would read `[host]:port` as a set of characters."""
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern) + r"\Z", re.DOTALL)


def lines_for(known: Iterable[KnownKey], name: str) -> tuple[KnownKey, ...]:
    return tuple(line for line in known if matches(line.patterns, name))


def bare_name(name: str) -> str | None:
    """`host` of `[host]:port`; ssh accepts a key that is known for the host without its port."""
    match = re.match(r"\[(?P<host>.+)\]:\d+\Z", name)
    return match["host"] if match else None


def judge(known: Iterable[KnownKey], name: str, blob: bytes) -> Verdict:
    """What ssh would think of this key for a host of this name (never counting certificates' authorities)."""
    known = tuple(known)
    mine = lines_for(known, name)
    bare = bare_name(name)
    others = lines_for(known, bare) if bare else ()
    for line in (*mine, *others):
        if line.marker == REVOKED and line.blob == blob:
            return Verdict(Trust.REVOKED, line)
    plain = [line for line in mine if line.marker is None]
    for line in (*plain, *(line for line in others if line.marker is None)):
        if line.blob == blob:
            return Verdict(Trust.KNOWN, line)
    if plain:
        kind = key_kind(blob)
        return Verdict(Trust.CHANGED, next((line for line in plain if line.kind == kind), plain[0]))
    return Verdict(Trust.UNKNOWN)


def authorities(known: Iterable[KnownKey], name: str) -> tuple[KnownKey, ...]:
    """The keys that may sign host certificates for this host."""
    known = tuple(known)
    bare = bare_name(name)
    found = (*lines_for(known, name), *(lines_for(known, bare) if bare else ()))
    return tuple(line for line in found if line.marker == AUTHORITY)


def known_kinds(known: Iterable[KnownKey], name: str) -> tuple[str, ...]:
    """Key types we have for the host, to be asked for first: one known key is enough to know a host."""
    known = tuple(known)
    bare = bare_name(name)
    found = lines_for(known, name) or (lines_for(known, bare) if bare else ())
    return tuple(dict.fromkeys(line.kind for line in found if line.marker is None))


def key_kind(blob: bytes) -> str:
    """The type a key's wire format begins with."""
    size = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + size].decode("ascii", "replace") if size < 64 else ""


def fingerprint(blob: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
