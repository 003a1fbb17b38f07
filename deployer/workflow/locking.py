"""deploy.lock: read beside the spec, held against what the spec asks for, and written anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.dataclass import replace
from deployer.errors import Diagnostic, RefusedError, SpecError
from deployer.values.lock import Lock, LockedModel, LockedNow

if TYPE_CHECKING:
    from deployer.spec.language import Model
    from deployer.spec.project import Project
    from deployer.values.plan import Plan
    from deployer.values.weights import Listing
    from deployer.workflow.inputs import Inputs
    from deployer.workflow.session import Report, Session

Read = Callable[[str], bytes]


def read_lock(inputs: Inputs, read: Read) -> Lock:
    """The lock beside the first file; empty where there is none."""
    from deployer.spec.lockfile import lock_path, parse_lock

    path = lock_path(inputs.files[0])
    try:
        text = read(path)
    except FileNotFoundError:
        return Lock()
    except OSError as error:
        raise SpecError(Diagnostic("bad-lock", f"`{path}` cannot be read: {error.strerror or error}")) from None
    return parse_lock(text, path)


def is_locked(model: Model) -> bool:
    """What is on a disk is what it is: only what others may change is locked."""
    return model.is_fetched and model.scheme != "local"


def refuse_unlocked(project: Project, path: str) -> None:
    """RefusedError naming each model that the lock does not hold as the spec asks for it."""
    held = project.lock.listings()
    missing = [
        name for name, model in sorted(project.spec.models.items()) if is_locked(model) and model.reference not in held
    ]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        hint = "run `deployer lock` where the hub can be reached, and commit the file"
        raise RefusedError(
            Diagnostic("not-locked", f"`{path}` does not hold {names} as the spec asks for it", hint=hint)
        )


def refuse_unlocked_images(session: Session, found: Plan) -> None:
    """RefusedError, where that is asked, naming each image that a container is made of and the lock does not hold."""
    from deployer.values.operations import CreateContainer

    made = {s.operation.spec.image for s in found.steps if isinstance(s.operation, CreateContainer)}
    missing = sorted(image for image in made - set(session.project.lock.images) if "@" not in image)
    if missing and session.inputs.locked:
        names = ", ".join(f"`{name}`" for name in missing)
        message = f"`{session.inputs.files[0]}` does not hold image {names} in its lock"
        hint = "run `deployer lock` where the registry can be reached, and commit the file"
        raise RefusedError(Diagnostic("not-locked", message, hint=hint))


def lock(inputs: Inputs, upgrade: tuple[str, ...] = (), report: Report = lambda event: None) -> LockedNow:
    """Looks up every model and image that is not locked, and those to `upgrade`; hashes what has no hash; writes the
    lock."""
    from deployer.spec.lockfile import lock_path
    from deployer.workflow.image_locks import images_meant, locked_images
    from deployer.workflow.session import Session

    with Session.open(inputs, report) as session:
        project = session.project
        models = {name: model for name, model in sorted(project.spec.models.items()) if is_locked(model)}
        images = images_meant(project)
        _refuse_unknown(upgrade, [*models, *images])
        entries = _locked_models(session, models, upgrade)
        found, problems = locked_images(session, images, upgrade)
        before = project.lock
    made, path = Lock(entries, found), lock_path(inputs.files[0])
    moved = {n: (before.models.get(n), e) for n, e in entries.items() if before.models.get(n) != e}
    moved_images = {n: (before.images.get(n), e) for n, e in found.items() if before.images.get(n) != e}
    _write(path, made)
    return LockedNow(path, made, moved, moved_images, problems)


def _refuse_unknown(upgrade: tuple[str, ...], names: list[str]) -> None:
    unknown = [name for name in upgrade if name not in names]
    if unknown:
        hint = "it has " + ", ".join(f"`{name}`" for name in names) if names else "nothing of it can be locked"
        message = f"`{unknown[0]}` is no model or image of the spec that can be locked"
        raise SpecError(Diagnostic("unknown-model", message, hint=hint))


def _locked_models(session: Session, models: dict[str, Model], upgrade: tuple[str, ...]) -> dict[str, LockedModel]:
    from deployer.engine.hubs import Hubs

    project, entries = session.project, {}
    inputs = session.inputs
    hubs = Hubs(project.spec, session.secrets, inputs.environment, Path(project.path).parent, inputs.offline)
    for name, model in models.items():
        old = project.lock.models.get(name)
        if old is not None and old.reference == model.reference and name not in upgrade:
            entries[name] = old
        else:
            entries[name] = LockedModel(model.reference, _without_urls(hubs.hashed(model)))
    return entries


def _without_urls(listing: Listing) -> Listing:
    return replace(listing, files=tuple(replace(f, url="", others=()) for f in listing.files), pinned=True)


def _write(path: str, made: Lock) -> None:
    from deployer.spec.lockfile import render_lock
    from deployer.workflow.files import write_beside

    write_beside(Path(path), render_lock(made).encode())
