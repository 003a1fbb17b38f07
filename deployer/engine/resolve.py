"""Looks up what lies outside spec and hosts before a plan is made: now the fingerprints of secrets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from deployer.engine.secrets import SecretStore
from deployer.errors import OperationError
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.resolved import Resolved, Unresolved
from deployer.values.secrets import SecretRef, fingerprint

AT_ONCE = 8  # scrypt takes 16 MiB and a core


def resolve(project: Project, store: SecretStore) -> Resolved:
    """Fingerprints of all secrets that a service is given; one that cannot be had is Unresolved, never an error."""
    names = used_secrets(project.spec)
    if not names:
        return Resolved()
    with ThreadPoolExecutor(min(AT_ONCE, len(names))) as pool:
        found = pool.map(partial(_fingerprint, project.spec, store), names)
        return Resolved(secrets=dict(zip(names, found, strict=True)))


def learn_secrets(project: Project, store: SecretStore) -> None:
    """Makes the store's redactor know all secrets that a service is given; one that cannot be had is left out."""
    names = used_secrets(project.spec)
    if names:
        with ThreadPoolExecutor(min(AT_ONCE, len(names))) as pool:
            list(pool.map(partial(_learn, store), names))


def _learn(store: SecretStore, name: str) -> None:
    with suppress(OperationError):
        store.value(name, host=None)


def _fingerprint(spec: DeploySpec, store: SecretStore, name: str) -> str | Unresolved:
    try:
        value = store.value(name, host=None)
    except OperationError as error:
        return Unresolved(error.diagnostic.message)
    return fingerprint(value, spec.project, spec.id or "", name)


def used_secrets(spec: DeploySpec) -> tuple[str, ...]:
    """Names of the secrets that services are given: by environment, as files, as API keys."""
    names: set[str] = set()
    for pin in spec.backends.values():
        names.update(value.secret for value in pin.env.values() if isinstance(value, SecretRef))
    for service in spec.services.values():
        names.update(value.secret for value in service.env.values() if isinstance(value, SecretRef))
        names.update(file.secret for file in service.container.secret_files.values())
        names.update(key.secret for key in service.options.api_key or ())
    return tuple(sorted(names))
