"""Where a registry is and as whom it is asked: by the spec, then by Docker's own configuration on the controller.

Asks no registry. What it finds stays on the controller.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, OperationError
from deployer.values.images import DEFAULT_REGISTRY
from deployer.values.secrets import Secret

HUB = "registry-1.docker.io"  # Docker Hub's API
HUB_LOGIN = "https://index.docker.io/v1/"  # the name under which Docker Hub's logins go (Docker Engine API)
CERTIFICATES = Path("/etc/docker/certs.d")  # where Docker looks for the CA of a registry


@dataclass(frozen=True, slots=True)
class Access:
    """`ca`: a file of certificates; `identity`: the password is an identity token, as `docker login` keeps some."""

    registry: str
    endpoint: str  # without a slash at its end
    username: str | None = None
    password: Secret | None = None
    secret: str | None = None  # of the spec, for hints
    ca: str | None = None
    identity: bool = False


def endpoint_of(registry: str, plain_http: bool = False) -> str:
    """Registries of this very machine speak HTTP, as Docker takes it (dockerd: `insecure-registries`)."""
    host = HUB if registry == DEFAULT_REGISTRY else registry
    return f"http://{host}" if plain_http or is_loopback(registry) else f"https://{host}"


def is_loopback(registry: str) -> bool:
    host = registry.rpartition(":")[0] if not registry.endswith("]") and ":" in registry else registry
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def ca_of(registry: str, written: str | None, folder: Path) -> str | None:
    """The file of the spec (beside it), or the one that Docker itself would take."""
    if written is not None:
        return str(folder / Path(written).expanduser())
    found = CERTIFICATES / registry / "ca.crt"
    return str(found) if found.is_file() else None


def docker_login(registry: str, environment: Mapping[str, str]) -> tuple[str, Secret, bool] | None:
    """User, password and whether that is an identity token, as `docker login` left them on the controller. None where
    nobody logged in, or where the program that keeps them fails."""
    config = environment.get("DOCKER_CONFIG") or str(Path(environment.get("HOME", "~")) / ".docker")
    path = Path(config).expanduser() / "config.json"
    if not path.is_file():
        return None
    from docker import auth, errors

    try:
        known: Any = auth.load_config(str(path), credstore_env=dict(environment))
        found = known.resolve_authconfig(registry if registry != DEFAULT_REGISTRY else None)
    except (errors.DockerException, OSError, ValueError):
        return None
    if not found:
        return None
    token = found.get("identitytoken") or found.get("IdentityToken")
    username, password = found.get("username") or found.get("Username"), found.get("password") or found.get("Password")
    if token:
        return str(username or "<token>"), Secret(str(token)), True
    return (str(username), Secret(str(password)), False) if username and password else None


def failure(code: str, message: str, hint: str | None = None, evidence: tuple[str, ...] = ()) -> OperationError:
    return OperationError(Diagnostic(code, message, evidence=evidence, hint=hint))
