"""Looks up what lies outside spec and hosts before a plan is made: fingerprints of secrets, files of models."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from deployer.engine.hubs import Hubs
from deployer.engine.secrets import SecretStore
from deployer.errors import OperationError
from deployer.spec.language import DeploySpec, Model
from deployer.spec.project import Project
from deployer.values.resolved import Resolved, Unresolved
from deployer.values.secrets import SecretRef, fingerprint
from deployer.values.weights import Listing

AT_ONCE = 8  # scrypt takes 16 MiB and a core


def resolve(
    project: Project,
    store: SecretStore,
    environment: Mapping[str, str] | None = None,
    known: Mapping[str, Listing | Unresolved] | None = None,
) -> Resolved:
    """Fingerprints of all secrets that a service is given, and what the sources of its models have. What cannot be had
    is Unresolved, never an error. `known`: listings that stand, and are not asked for again."""
    names, models = used_secrets(project.spec), used_models(project.spec)
    if not names and not models:
        return Resolved()
    hubs = Hubs(project.spec, store, environment or {}, Path(project.path).parent)
    locked = project.lock.listings()
    standing = {name: found for name, found in (known or {}).items() if isinstance(found, Listing)}
    with ThreadPoolExecutor(min(AT_ONCE, len(names) + len(models))) as pool:
        found = pool.map(partial(_fingerprint, project.spec, store), names)
        listed = pool.map(
            lambda model: standing.get(model.reference) or hubs.listing(model, locked.get(model.reference)), models
        )
        references = (model.reference for model in models)
        return Resolved(dict(zip(names, found, strict=True)), listings=dict(zip(references, listed, strict=True)))


def used_models(spec: DeploySpec) -> tuple[Model, ...]:
    """One model for each thing that is to be looked up at a source, for services that run."""
    found: dict[str, Model] = {}
    for service in spec.services.values():
        speculative = service.options.speculative
        names = [alone.model for alone in service.each()] + [speculative.model if speculative else None]
        models = (spec.models.get(name or "") for name in names if service.state == "running")
        found |= {model.reference: model for model in models if model is not None and model.is_fetched}
    return tuple(model for _, model in sorted(found.items()))


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
