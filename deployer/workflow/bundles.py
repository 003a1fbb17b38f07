"""Bundles that come in: opened, judged, read through, kept in the controller's store, and used instead of hubs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.dataclass import replace
from deployer.engine.watch import HERE, Watch
from deployer.errors import Diagnostic, RefusedError
from deployer.planning.bundled import brought
from deployer.values.bundle import BLOBS, INDEX, Bundle
from deployer.values.events import Event
from deployer.values.resolved import Resolved
from deployer.weights.bundles.index import MOST, parse_index
from deployer.weights.bundles.opening import Allowed, Opened, open_bundle, refuse_older, refuse_untrusted
from deployer.weights.bundles.reading import FolderReader, check_hashes, unreadable
from deployer.weights.bundles.store import Store
from deployer.weights.bundles.using import InUse
from deployer.workflow.inputs import Inputs, environment_variables

if TYPE_CHECKING:
    from deployer.workflow.session import Session

Report = Callable[[Event], object]


def load_bundle(path: str, allowed: Allowed, store: Store, report: Report) -> Opened:
    """All of it is in the store afterwards, or nothing. RefusedError, OperationError."""
    opened = _judged(path, allowed, store, to_keep=True)
    with _reading(opened.bundle, report) as follow:
        store.take(opened, follow)
    store.keep(opened, older=allowed.older)
    return opened


def bring(path: str, allowed: Allowed, store: Store, report: Report) -> InUse:
    """A bundle that is used from here on: read through where it is a folder, else loaded. `path` may be the name of a
    project whose bundle was loaded before. RefusedError, OperationError."""
    kept = store.folder_of(path) if not Path(path).exists() else None
    if kept is not None:
        return InUse(_kept(kept / INDEX), store.blob)
    opened = _judged(path, allowed, store)
    if not isinstance(opened.reader, FolderReader):
        with _reading(opened.bundle, report) as follow:
            store.take(opened, follow)
        store.keep(opened, older=allowed.older)
        return InUse(opened.bundle, store.blob)
    with _reading(opened.bundle, report) as follow:
        check_hashes(opened.reader, opened.bundle.contents, follow)
    store.remember(opened)
    return InUse(opened.bundle, _finder(opened.bundle, opened.reader.folder, store))


def _kept(index: Path) -> Bundle:
    try:
        with index.open("rb") as file:
            text = file.read(MOST + 1)
    except OSError as error:
        raise unreadable(str(index), error) from None
    return parse_index(text, str(index.parent))


def _finder(bundle: Bundle, folder: Path, store: Store) -> Callable[[str], Path | None]:
    here = {content.sha256 for content in bundle.contents if content.path.startswith(BLOBS)}
    return lambda sha256: folder / BLOBS / sha256 if sha256 in here else store.blob(sha256)


def _judged(path: str, allowed: Allowed, store: Store, *, to_keep: bool = False) -> Opened:
    opened = open_bundle(path, allowed)
    refuse_untrusted(opened, allowed)
    refuse_older(opened, store.last(opened.bundle.project, opened.bundle.id), allowed, to_keep=to_keep)
    return opened


@contextmanager
def _reading(bundle: Bundle, report: Report) -> Iterator[Callable[[int], object]]:
    """Reading a disk of weights takes minutes: how far it is, is told."""
    what = f"read bundle {bundle.sequence}"
    with Watch(what, HERE, what, report).told() as watch:
        yield lambda done: watch.progress(done, bundle.size)


def with_bundle(inputs: Inputs, used: InUse, *, spec_at_hand: bool) -> Inputs:
    """What a command line says, of the spec that the bundle brings or of the one at hand; nothing else is asked."""
    if spec_at_hand:
        return replace(inputs, bundle=replace(used, brings_spec=False), offline=True)
    spec = used.bundle.spec
    given = {**spec.variables, **environment_variables(inputs.environment), **inputs.variables}
    inventories = (*spec.inventories, *(path for path in inputs.inventories if path not in spec.inventories))
    return replace(
        inputs, files=spec.files, inventories=inventories, variables=given, bundle=used, offline=True, locked=False
    )


def take_up(session: Session, used: InUse) -> None:
    """From here on the session's models are those of the bundle. RefusedError for one of another project."""
    spec, bundle = session.project.spec, used.bundle
    if (spec.project, spec.id) != (bundle.project, bundle.id):
        message = f"the bundle is for project `{bundle.project}`, and the spec at hand for `{spec.project}`"
        if spec.project == bundle.project:
            message = f"the bundle is for another project `{bundle.project}`: its `id` is not the spec's"
        raise RefusedError(Diagnostic("bundle-of-another-project", message, hint="leave out `-f`, or take its bundle"))
    lock = replace(session.project.lock, images={})  # the bundle has them, wherever they came from
    session.project = replace(brought(session.project), lock=lock)
    session.said = Resolved(listings=used.listings(), images=bundle.images)


def inspect(path: str, allowed: Allowed, *, check: bool, report: Report) -> Opened:
    """By its index alone, or with `check` after every byte was read."""
    opened = open_bundle(path, allowed)
    if check:
        with _reading(opened.bundle, report) as follow:
            check_hashes(opened.reader, opened.bundle.contents, follow)
    return opened
