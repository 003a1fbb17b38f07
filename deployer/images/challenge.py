"""How a registry wants to be asked: its challenge (RFC 7235) and the token that answers it (distribution's "Token
Authentication Specification"). A password goes to no one over plain HTTP that the registry itself is not."""

from __future__ import annotations

import re
from urllib.parse import urlencode, urlsplit

from deployer.dataclass import dataclass
from deployer.images.access import Access

PARAMETER = re.compile(r'([A-Za-z_]{1,30})\s*=\s*"([^"]{0,2000})"')


@dataclass(frozen=True, slots=True)
class Challenge:
    scheme: str  # bearer | basic, in small letters
    realm: str = ""
    service: str = ""


def parse_challenge(header: str) -> Challenge | None:
    scheme, _, rest = header.strip()[:8000].partition(" ")
    found = {key.lower(): value for key, value in PARAMETER.findall(rest)}
    if scheme.lower() not in ("bearer", "basic"):
        return None
    return Challenge(scheme.lower(), found.get("realm", ""), found.get("service", ""))


def token_url(challenge: Challenge, repository: str) -> str:
    query = {"service": challenge.service, "scope": f"repository:{repository}:pull"}
    return challenge.realm + ("&" if "?" in challenge.realm else "?") + urlencode({k: v for k, v in query.items() if v})


def may_be_told(challenge: Challenge, access: Access) -> bool:
    """The realm may be given the password: it is behind TLS, or the very place of a registry that has none either."""
    realm, registry = urlsplit(challenge.realm), urlsplit(access.endpoint)
    if realm.scheme == "https" and realm.hostname:
        return True
    return realm.scheme == "http" and registry.scheme == "http" and realm.hostname == registry.hostname
