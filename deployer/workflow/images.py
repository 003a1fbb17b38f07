"""What registries say of the images that a plan brings, and which of their layers hosts have: looked up in between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.dataclass import replace
from deployer.workflow.looking import Spoken, speaking

if TYPE_CHECKING:
    from deployer.engine.registries import Registries
    from deployer.transport.base import Transport
    from deployer.values.plan import Plan
    from deployer.values.resolved import Resolved
    from deployer.workflow.session import Session

AT_ONCE = 8


def registries_of(session: Session) -> Registries:
    from deployer.engine.registries import Registries

    project = session.project
    folder, inputs = Path(project.path).parent, session.inputs
    usual = Registries(project.spec.registries, session.secrets, inputs.environment, folder, inputs.offline)
    if inputs.bundle is None:
        return usual
    from deployer.engine.bundle_images import BundledRegistries

    return BundledRegistries.instead_of(usual, inputs.bundle)


def resolved_of(session: Session, said: Resolved | None) -> Resolved:
    """What lies outside spec and hosts. `said`: before, and stands."""
    from deployer.engine.resolve import resolve

    registries = registries_of(session) if session.inputs.offline else None
    return resolve(session.project, session.secrets, session.inputs.environment, said, registries=registries)


def looked_up(session: Session, found: Plan, resolved: Resolved) -> Resolved:
    """The same, with what can be said of the images that the plan brings; a registry that does not answer is no error.

    What was asked once is not asked again.
    """
    from deployer.values.transfers import LoadImage, PullImage

    steps = [step for step in found.steps if isinstance(step.operation, PullImage | LoadImage)]
    images = sorted({s.operation.image for s in steps if isinstance(s.operation, PullImage)} - set(resolved.images))
    known = dict(resolved.images)
    if images:
        registries = registries_of(session)
        said = speaking(session.report, lambda seconds: f"still asking registries for images ({seconds:.0f} s)")
        with said, ThreadPoolExecutor(min(AT_ONCE, len(images))) as pool:
            known |= dict(zip(images, pool.map(registries.looked_up, images), strict=True))
    hosts = {s.host for s in steps if _has_layers(known.get(s.operation.image))} - set(resolved.layers)  # type: ignore[union-attr]
    layers = {**resolved.layers, **_layers(session, sorted(hosts))}
    return replace(resolved, images=known, layers=layers) if images or hosts else resolved


def _has_layers(known: object) -> bool:
    from deployer.values.image_content import ResolvedImage

    return isinstance(known, ResolvedImage) and bool(known.platforms)


def _layers(session: Session, hosts: list[str]) -> dict[str, tuple[str, ...]]:
    """Of a host that does not say, none are known to be there."""
    from deployer.docker.layers import chains_there

    def ask(transport: Transport) -> tuple[str, ...]:
        return tuple(sorted(chains_there(transport)))

    answers = Spoken(session.fleet, session.report).map(hosts, ask) if hosts else {}
    return {name: answer if isinstance(answer, tuple) else () for name, answer in answers.items()}
