"""Looks up what lies outside spec and hosts before a plan is made: fingerprints of secrets, files of models."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.dataclass import replace
from deployer.engine.hubs import Hubs
from deployer.engine.secrets import SecretStore
from deployer.errors import OperationError
from deployer.planning.choice import NOT_ASKED
from deployer.planning.image_sources import archives_of
from deployer.spec.language import DeploySpec, Model
from deployer.spec.project import Project
from deployer.values.image_content import ResolvedImage
from deployer.values.resolved import Resolved, Unresolved
from deployer.values.secrets import SecretRef, fingerprint
from deployer.values.weights import Listing

if TYPE_CHECKING:
    from deployer.engine.registries import Registries

Listings = Mapping[str, Listing | Unresolved]
Images = Mapping[str, ResolvedImage | Unresolved]
AT_ONCE = 8  # scrypt takes 16 MiB and a core


def resolve(
    project: Project,
    store: SecretStore,
    environment: Mapping[str, str] | None = None,
    known: Resolved | None = None,
    *,
    registries: Registries | None = None,
) -> Resolved:
    """Fingerprints of all secrets that a service is given, what is known of the sources of its models without asking
    hubs, and the images of deploy.lock and of archives. What cannot be had is Unresolved, never an error. `known`: what
    was said before; what hubs and registries said then stands. `registries`: where archives are, and whether anybody
    may be asked."""
    names, models = used_secrets(project.spec), used_models(project.spec)
    said = known.images if known is not None else {}
    images = resolved_images(project, store, environment or {}, said, registries)
    layers = known.layers if known is not None else {}
    if not names and not models:
        return Resolved(images=images, layers=layers)
    offline = registries is not None and registries.offline
    hubs = Hubs(project.spec, store, environment or {}, Path(project.path).parent, offline)
    locked = project.lock.listings()
    listings = known.listings if known is not None else {}
    standing = {name: found for name, found in listings.items() if isinstance(found, Listing)}
    with ThreadPoolExecutor(min(AT_ONCE, len(names) + len(models))) as pool:
        found = pool.map(partial(_fingerprint, project.spec, store), names)
        listed = pool.map(
            lambda model: standing.get(model.reference) or hubs.known(model, locked.get(model.reference)), models
        )
        references = (model.reference for model in models)
        return Resolved(
            dict(zip(names, found, strict=True)),
            listings=dict(zip(references, listed, strict=True)),
            images=images,
            layers=layers,
        )


def resolve_secrets(project: Project, store: SecretStore) -> Resolved:
    """Only the fingerprints: what is on the hosts already asks nothing of hubs and registries."""
    names = used_secrets(project.spec)
    if not names:
        return Resolved()
    with ThreadPoolExecutor(min(AT_ONCE, len(names))) as pool:
        return Resolved(dict(zip(names, pool.map(partial(_fingerprint, project.spec, store), names), strict=True)))


def ask_hubs(
    project: Project, store: SecretStore, environment: Mapping[str, str], known: Listings, *, offline: bool = False
) -> dict[str, Listing | Unresolved]:
    """What is known, and what hubs say of all that they can say more of; `offline`: that they would be asked."""
    models, locked = left_open(project, known), project.lock.listings()
    if offline:
        models = tuple(model for model in models if not isinstance(known.get(model.reference), Listing))
    if not models:
        return {**known}
    hubs = Hubs(project.spec, store, environment, Path(project.path).parent, offline)
    with ThreadPoolExecutor(min(AT_ONCE, len(models))) as pool:
        said = pool.map(lambda model: hubs.listing(model, locked.get(model.reference)), models)
        return {**known, **dict(zip((model.reference for model in models), said, strict=True))}


def left_open(project: Project, known: Listings) -> tuple[Model, ...]:
    """Models that nobody was asked about, and those of deploy.lock whose other sources were not."""
    return tuple(model for model in used_models(project.spec) if _is_open(model, known.get(model.reference, NOT_ASKED)))


def _is_open(model: Model, known: Listing | Unresolved) -> bool:
    if isinstance(known, Unresolved):
        return True
    return len(model.source) > 1 and not known.is_found and not any(file.others for file in known.files)


def resolved_images(
    project: Project,
    store: SecretStore,
    environment: Mapping[str, str],
    said: Images,
    registries: Registries | None = None,
) -> dict[str, ResolvedImage | Unresolved]:
    """Those that stand: as deploy.lock has them, as they lie in archives, and as registries said before."""
    found: dict[str, ResolvedImage | Unresolved] = {**said, **project.lock.images}
    archives = archives_of(project.spec)
    if not archives:
        return found
    from deployer.engine.registries import Registries

    asked = registries or Registries(project.spec.registries, store, environment, Path(project.path).parent)
    for image, archive in sorted(archives.items()):
        found[image] = _in_archive(asked, image, archive, project.lock.images.get(image))
    return found


def _in_archive(
    registries: Registries, image: str, archive: str, locked: ResolvedImage | None
) -> ResolvedImage | Unresolved:
    found = registries.looked_up(image, archive)
    if isinstance(found, Unresolved):
        return found
    if locked is not None and not locked.ids & found.ids:
        why = f"`{archive}` holds another image than deploy.lock says"
        return Unresolved(why, f"look at it, then run `deployer lock --upgrade {image}`")
    return replace(found, pinned=True)


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
