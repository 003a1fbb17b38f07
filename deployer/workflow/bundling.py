"""Makes a bundle: what a plan would bring to the hosts is brought here instead, hashed, signed and written down."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deployer import __version__
from deployer.dataclass import dataclass, replace
from deployer.engine.bundle_images import Gathering
from deployer.engine.bundle_work import Work
from deployer.engine.hubs import Hubs
from deployer.engine.registries import Registries
from deployer.engine.resolve import used_models
from deployer.engine.secrets import SecretStore
from deployer.errors import DeployerError, Diagnostic, OperationError, Severity
from deployer.planning.assumed import assume_facts
from deployer.planning.bundled import Wanted, wanted
from deployer.planning.image_sources import archives_of
from deployer.planning.offline import outward
from deployer.planning.planner import plan
from deployer.values.bundle import Bundle, BundledSpec, Parent
from deployer.values.codec import parse_json
from deployer.values.events import Event
from deployer.values.facts_json import facts_from_data
from deployer.values.image_content import ResolvedImage
from deployer.values.resolved import Resolved, Unresolved
from deployer.values.weights import Listing, Manifest
from deployer.weights.bundles.index import NEWEST, WHEEL, render_index
from deployer.weights.bundles.opening import Allowed, Old, Opened, open_bundle, read_old
from deployer.weights.bundles.signing import sign
from deployer.weights.bundles.store import Store
from deployer.weights.bundles.writing import Target
from deployer.workflow.inputs import Inputs, environment_variables, load
from deployer.workflow.sources import Sources

if TYPE_CHECKING:
    from deployer.spec.project import Project

KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
MOST_FACTS = 256 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Making:
    """What the command line asked for. `facts`: as recorded on the inside; `since`: the path of an older bundle."""

    target: Target
    facts: bytes | None = None
    since: str | None = None
    key: str | None = None
    unsigned: bool = False
    sequence: int | None = None
    wheels: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """`listings` by `Model.reference`, `images` by name: what hubs and registries have, or deploy.lock says."""

    wanted: Wanted
    listings: Mapping[str, Listing]
    images: Mapping[str, ResolvedImage | Unresolved]


def create(inputs: Inputs, making: Making, report: Callable[[Event], object]) -> Opened:
    """The bundle is at its place afterwards; killed at any time, the next run goes on from what was brought."""
    key = None if making.unsigned else signing_key(making.key, inputs.environment)
    sources = Sources()
    project = load(replace(inputs, locked=True), read=sources.read)
    _refuse_passwords(inputs, sources, project)
    old = read_old(making.since) if making.since is not None else None
    made = made_at(inputs.environment)
    sequence = _sequence(making, made, old, project)
    store = SecretStore.of(project, inputs.environment)
    usual = store, inputs.environment, Path(project.path).parent, inputs.offline
    hubs, registries = Hubs(project.spec, *usual), Registries(project.spec.registries, *usual)
    found = _planned(project, hubs, registries, making.facts)
    making.target.begin()
    work = Work(making.target, hubs, Store.of(inputs.environment), old.bundle if old is not None else None, report)
    work.ahead(found.wanted, found.images)
    models = work.models(found.wanted)
    images = Gathering(work, registries).images(found.wanted.images, found.images)
    _add_wheels(work, making.wheels)
    spec = _spec(inputs, sources, project, work)
    bundle = Bundle(
        project.spec.project, project.spec.id, sequence, f"{made:%Y-%m-%dT%H:%M:%SZ}", _who(), __version__, spec,
        listings={name: _carried(listing, models) for name, listing in found.listings.items()},
        models=models,
        images=images,
        contents=work.contents,
        elsewhere=tuple(work.elsewhere[sha256] for sha256 in sorted(work.elsewhere)),
        inside=tuple(work.inside[sha256] for sha256 in sorted(work.inside)),
        parent=Parent(old.bundle.sequence, old.digest) if old is not None else None,
    )  # fmt: skip
    index = render_index(bundle)
    with work.step(f"write `{making.target.path}`", bundle.size) as follow:
        making.target.finish(index, sign(index, key) if key is not None else None, bundle.contents, follow)
    return open_bundle(str(making.target.path), Allowed.of(None, inputs.environment))


def signing_key(named: str | None, environment: Mapping[str, str]) -> Path:
    """The one that the command line names, or the first that the user has. OperationError."""
    folder = Path(environment.get("HOME") or "~").expanduser() / ".ssh"
    candidates = [Path(named)] if named is not None else [folder / name for name in KEYS]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        where = f"`{named}`" if named is not None else f"`{folder}`"
        hint = "name one with `--key`, make one with `ssh-keygen -t ed25519`, or give `--unsigned`"
        raise OperationError(Diagnostic("no-signing-key", f"there is no SSH key at {where} to sign with", hint=hint))
    return found


def made_at(environment: Mapping[str, str]) -> datetime:
    """Now, or SOURCE_DATE_EPOCH (reproducible-builds.org), with which the same spec gives the same bytes."""
    said = environment.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(said), UTC) if said.isdigit() and len(said) <= 11 else datetime.now(UTC)


def _sequence(making: Making, made: datetime, old: Old | None, project: Project) -> int:
    """By default the time, so that any machine may make the next one."""
    spec = project.spec
    sequence = making.sequence if making.sequence is not None else int(f"{made:%Y%m%d%H%M%S}")
    if old is None:
        return sequence
    if (old.bundle.project, old.bundle.id) != (spec.project, spec.id):
        message = f"`{making.since}` is a bundle of project `{old.bundle.project}`, not of `{spec.project}`"
        raise OperationError(Diagnostic("bundle-of-another-project", message, hint="name one of this project"))
    if making.sequence is None:
        sequence = max(sequence, old.bundle.sequence + 1)
    if not old.bundle.sequence < sequence < NEWEST:
        message = f"`--sequence {sequence}` is not after {old.bundle.sequence}, which the bundle is made since"
        raise OperationError(Diagnostic("bundle-older", message, hint="name a larger number, or none"))
    return sequence


def _planned(project: Project, hubs: Hubs, registries: Registries, facts: bytes | None) -> Found:
    """What hosts would be brought that have nothing, or what those lack whose facts were recorded. DeployerError."""
    locked = project.lock.listings()
    listings = {m.reference: hubs.listing(m, locked.get(m.reference)) for m in used_models(project.spec)}
    archives = {image: registries.looked_up(image, path) for image, path in archives_of(project.spec).items()}
    images: dict[str, ResolvedImage | Unresolved] = {**project.lock.images, **archives}
    try:
        observed = assume_facts(project) if facts is None else facts_from_data(parse_json(facts, MOST_FACTS))
    except ValueError as error:
        hint = "record them with `deployer facts -o FILE` on the inside"
        raise DeployerError(Diagnostic("bad-facts", f"the recorded facts cannot be read: {error}", hint=hint)) from None
    found = plan(project, observed, Resolved(listings=listings, images=images))
    errors = [p for p in found.problems if p.severity is Severity.ERROR]
    errors += outward(found, project.spec) if hubs.offline else ()
    if errors:
        raise DeployerError(errors)
    want = wanted(found, observed)
    images |= {image: _looked_up(image, registries, images.get(image)) for image in want.images}
    return Found(want, {name: one for name, one in listings.items() if isinstance(one, Listing)}, images)


def _looked_up(
    image: str, registries: Registries, known: ResolvedImage | Unresolved | None
) -> ResolvedImage | Unresolved:
    """Also of one whose lock says no more than how hosts know it."""
    if known is not None and (isinstance(known, Unresolved) or known.platforms):
        return known
    found = registries.looked_up(image)
    if isinstance(found, ResolvedImage) and known is not None and not found.ids & known.ids:
        hint = f"look at it, then run `deployer lock --upgrade {image}`"
        return Unresolved("its registry has another image than deploy.lock says", hint)
    return found


def _carried(listing: Listing, models: tuple[Manifest, ...]) -> Listing:
    """Without where its files come from, and with the hashes that were found out."""
    known = {(m.source, m.commit, f.path): f.sha256 for m in models for f in m.files}
    files = tuple(
        replace(f, url="", others=(), sha256=known.get((listing.source, listing.commit, f.path), f.sha256))
        for f in listing.files
    )
    return replace(listing, files=files, pinned=True)


def _spec(inputs: Inputs, sources: Sources, project: Project, work: Work) -> BundledSpec:
    given = {**environment_variables(inputs.environment), **inputs.variables}
    return BundledSpec(
        inputs.files,
        inputs.inventories,
        {name: value for name, value in given.items() if name in project.spec.vars},
        inputs.environment.get("HOME", "~"),
        {path: work.text(text) for path, text in sorted(sources.files.items())},
    )


def _refuse_passwords(inputs: Inputs, sources: Sources, project: Project) -> None:
    """DeployerError where the bundle would carry the variables of Ansible's inventories, passwords among them."""
    from deployer.workflow.saved import refuse_foreign_inventory

    try:
        refuse_foreign_inventory(inputs, sources, project)
    except DeployerError as error:
        message = error.diagnostics[0].message.replace("a plan cannot be saved", "a bundle cannot be made")
        hint = "write the hosts into an inventory of deployer's own, and name theirs with `-i` on the inside"
        raise DeployerError(replace(error.diagnostics[0], message=message, hint=hint)) from None


def _add_wheels(work: Work, folder: str | None) -> None:
    """Those that pip needs on the inside: `pip wheel` makes them. OperationError."""
    if folder is None:
        return
    found = sorted(Path(folder).glob("*.whl"))
    if not found or any(WHEEL.match(f"wheels/{path.name}") is None for path in found):
        message = f"there are no wheels in `{folder}`, or one has a name that a bundle cannot have"
        hint = "make them with `pip wheel deployer -w FOLDER`"
        raise OperationError(Diagnostic("no-wheels", message, hint=hint))
    for path in found:
        work.file(path, f"wheels/{path.name}")


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
