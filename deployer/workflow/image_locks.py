"""The images of a spec for deploy.lock: what registries and archives say they are, else what hosts show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from deployer.dataclass import replace
from deployer.errors import Diagnostic, warning
from deployer.planning.assumed import assume_facts, assume_listings
from deployer.planning.image_sources import archives_of
from deployer.planning.local_images import images_named
from deployer.planning.planner import plan
from deployer.values.image_content import ResolvedImage
from deployer.values.operations import CreateContainer
from deployer.values.resolved import Resolved, Unresolved
from deployer.workflow.images import registries_of

if TYPE_CHECKING:
    from deployer.spec.project import Project
    from deployer.values.facts import ObservedState
    from deployer.workflow.session import Session


def images_meant(project: Project) -> tuple[str, ...]:
    """Of the containers that the spec asks for, as far as it tells without its hosts."""
    found = plan(project, assume_facts(project), Resolved(listings=assume_listings(project)))
    made = {s.operation.spec.image for s in found.steps if isinstance(s.operation, CreateContainer)}
    return tuple(sorted(made | set(archives_of(project.spec))))


def locked_images(
    session: Session, images: Iterable[str], upgrade: tuple[str, ...]
) -> tuple[dict[str, ResolvedImage], tuple[Diagnostic, ...]]:
    """Those that could be looked up; a warning for each that nobody could say anything of."""
    registries, archives = registries_of(session), archives_of(session.project.spec)
    held, found, unknown = session.project.lock.images, {}, {}
    for image in images:
        archive = archives.get(image, "")
        old = held.get(image)
        if old is not None and image not in upgrade and old.archive == archive:
            found[image] = old
            continue
        said = registries.looked_up(image, archive)
        if isinstance(said, ResolvedImage):
            found[image] = replace(said, pinned=True)
        else:
            unknown[image] = said
    if not unknown:
        return found, ()
    observed = session.observe()
    shown = {image: seen for image in unknown if (seen := seen_on_hosts(image, observed)) is not None}
    problems = tuple(_unlocked(image, why) for image, why in sorted(unknown.items()) if image not in shown)
    return {**found, **shown}, problems


def seen_on_hosts(image: str, observed: ObservedState) -> ResolvedImage | None:
    """What the hosts have under that name; None where none has it, or they have several."""
    there = {found.id: found for facts in observed.reachable.values() for found in images_named(facts, image)}
    if len(there) != 1:
        return None
    (found,) = there.values()
    digests = sorted(name.rpartition("@")[2] for name in found.digests)
    return ResolvedImage(image, digests[0] if digests else None, {}, True, seen=(found.id,))


def _unlocked(image: str, why: Unresolved) -> Diagnostic:
    return warning("image-not-locked", f"image `{image}` is not in the lock: {why.reason}", hint=why.hint)
