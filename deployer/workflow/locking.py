"""deploy.lock: read beside the spec, held against what the spec asks for, and written anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from deployer.errors import Diagnostic, OperationError, RefusedError, SpecError
from deployer.values.lock import Lock, LockedModel, LockedNow

if TYPE_CHECKING:
    from deployer.spec.language import Model
    from deployer.spec.project import Project
    from deployer.values.weights import Listing
    from deployer.workflow.inputs import Inputs

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


def lock(inputs: Inputs, upgrade: tuple[str, ...] = ()) -> LockedNow:
    """Looks up every model that is not locked, and those to `upgrade`; hashes what has no hash; writes the lock."""
    from deployer.engine.hubs import Hubs
    from deployer.engine.secrets import SecretStore
    from deployer.spec.lockfile import lock_path
    from deployer.workflow.inputs import load

    project = load(inputs)
    models = {name: model for name, model in sorted(project.spec.models.items()) if is_locked(model)}
    unknown = [name for name in upgrade if name not in models]
    if unknown:
        hint = "it has " + ", ".join(f"`{name}`" for name in models) if models else "no model is fetched by deployer"
        raise SpecError(Diagnostic("unknown-model", f"`{unknown[0]}` is no model that can be locked", hint=hint))
    hubs = Hubs(project.spec, SecretStore.of(project, inputs.environment), inputs.environment)
    entries: dict[str, LockedModel] = {}
    for name, model in models.items():
        old = project.lock.models.get(name)
        if old is not None and old.reference == model.reference and name not in upgrade:
            entries[name] = old
        else:
            entries[name] = LockedModel(model.reference, _without_urls(hubs.hashed(model)))
    made, path = Lock(entries), lock_path(inputs.files[0])
    moved = {n: (project.lock.models.get(n), e) for n, e in entries.items() if project.lock.models.get(n) != e}
    _write(path, made)
    return LockedNow(path, made, moved)


def _without_urls(listing: Listing) -> Listing:
    return replace(listing, files=tuple(replace(f, url="", others=()) for f in listing.files), pinned=True)


def _write(path: str, made: Lock) -> None:
    from pathlib import Path

    from deployer.spec.lockfile import render_lock

    try:
        beside = Path(f"{path}.new")
        beside.write_text(render_lock(made), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        message = f"`{path}` cannot be written: {error.strerror}"
        raise OperationError(Diagnostic("cannot-write", message, hint="make its folder writable")) from None
