"""Caches of weights on the project's hosts: shown, checked and repaired, tidied up, and filled ahead of an apply."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.dataclass import replace
from deployer.engine.caches import check
from deployer.engine.copies import check_again
from deployer.engine.hubs import Hubs
from deployer.engine.watch import Watch
from deployer.errors import HostError, OperationError
from deployer.planning.caches import Needed, copies_once, each_once, removals
from deployer.planning.offline import refused
from deployer.values.cache import (
    CachedModel,
    Checked,
    CheckedCopy,
    HostCache,
    KeptCopy,
    Removal,
)
from deployer.values.transfers import (
    CheckCopy,
    FetchWeights,
    FillCache,
    LoadImage,
    MakeDirectory,
    PullImage,
    ServeWeights,
)
from deployer.weights.inventory import remove

if TYPE_CHECKING:
    from deployer.transport.base import Transport
    from deployer.values.events import ApplyResult
    from deployer.workflow.orders import Orders
    from deployer.workflow.session import Planned, Session


def verify_caches(session: Session, found: Iterable[HostCache], orders: Orders) -> tuple[Checked, ...]:
    """Every file of every manifest is read; what is wrong is fetched anew. Host by host at once, on each in order."""
    by_host = {cache.host: cache for cache in each_once(found) if cache.models}
    project = session.project
    hubs = Hubs(project.spec, session.secrets, session.inputs.environment, Path(project.path).parent)
    if session.inputs.offline:
        _refuse_repairs(by_host.values())

    def checked_one(transport: Transport, model: CachedModel) -> Checked:
        with _watch(model, orders).told() as watch:
            return check(transport, by_host[transport.name].cache_dir, model.kept, hubs, watch)

    def work(transport: Transport) -> list[Checked]:
        return [checked_one(transport, model) for model in by_host[transport.name].models]

    checked: list[Checked] = []
    for name, answer in sorted(session.fleet.map(list(by_host), work).items()):
        if isinstance(answer, HostError):
            checked += [Checked(name, m.kept, problem=answer.diagnostic) for m in by_host[name].models]
        else:
            checked += answer
    return tuple(checked)


def verify_copies(session: Session, found: Iterable[HostCache], orders: Orders) -> tuple[CheckedCopy, ...]:
    """What was once read of copies in `model_dirs` is read again, by one host of those that share it, and by the others
    where it is wrong, so that each knows; nothing is written there, and nothing repaired."""
    read = [kept for cache in found for kept in cache.copies if kept.copy.read]
    firsts = copies_once(read)
    checked = _read_again(session, firsts, orders)
    wrong = {one.kept.shared for one in checked if one.wrong} - {""}
    others = [kept for kept in read if kept.shared in wrong and kept not in firsts]
    return (*checked, *_read_again(session, others, orders))


def _read_again(session: Session, copies: Iterable[KeptCopy], orders: Orders) -> tuple[CheckedCopy, ...]:
    by_host: dict[str, list[KeptCopy]] = {}
    for kept in copies:
        by_host.setdefault(kept.host, []).append(kept)

    def checked_one(transport: Transport, kept: KeptCopy) -> CheckedCopy:
        with _watch_copy(kept, orders).told() as watch:
            return check_again(transport, kept, watch)

    def work(transport: Transport) -> list[CheckedCopy]:
        return [checked_one(transport, kept) for kept in by_host[transport.name]]

    checked: list[CheckedCopy] = []
    for name, answer in sorted(session.fleet.map(list(by_host), work).items()):
        if isinstance(answer, HostError):
            checked += [CheckedCopy(kept, problem=answer.diagnostic) for kept in by_host[name]]
        else:
            checked += answer
    return tuple(checked)


def _watch_copy(kept: KeptCopy, orders: Orders) -> Watch:
    what = f"check {kept.source} in {kept.copy.folder}"
    return Watch(f"{kept.host}:{kept.copy.folder}", kept.host, what, orders.report)


def _refuse_repairs(found: Iterable[HostCache]) -> None:
    """What is wrong would be fetched anew: OperationError where that is not from the controller's own disk."""
    sources = sorted({m.kept.manifest.source for cache in found for m in cache.models})
    outside = [source for source in sources if not source.startswith("local://")]
    if outside:
        raise OperationError(refused(f"what is wrong of `{outside[0]}` would be fetched anew from there"))


def _watch(model: CachedModel, orders: Orders) -> Watch:
    what = f"check {model.kept.manifest.source} at {model.kept.manifest.commit[:12]}"
    return Watch(f"{model.host}:{model.kept.id}", model.host, what, orders.report)


def to_remove(session: Session, found: Iterable[HostCache], budget: int | None) -> tuple[Removal, ...]:
    """What no container of any project uses and no model of this spec means today."""
    from deployer.engine.resolve import ask_hubs

    inputs = session.inputs
    listings = ask_hubs(session.project, session.secrets, inputs.environment, {}, offline=inputs.offline)
    needed = Needed.of(session.project.spec, listings)
    return tuple(removal for cache in found for removal in removals(cache, needed, budget))


def remove_all(session: Session, wanted: Iterable[Removal]) -> dict[Removal, int | OperationError | HostError]:
    """Bytes freed by each, or why not."""
    by_host: dict[str, list[Removal]] = {}
    for removal in wanted:
        by_host.setdefault(removal.host, []).append(removal)

    def work(transport: Transport) -> dict[Removal, int | OperationError]:
        return {removal: _removed(transport, removal) for removal in by_host[transport.name]}

    found: dict[Removal, int | OperationError | HostError] = {}
    for name, answer in session.fleet.map(list(by_host), work).items():
        found |= dict.fromkeys(by_host[name], answer) if isinstance(answer, HostError) else answer
    return found


def _removed(transport: Transport, removal: Removal) -> int | OperationError:
    try:
        return remove(transport, removal)
    except OperationError as error:
        return error


def pulling(planned: Planned) -> Planned:
    """The part of a plan that only brings images and weights to the hosts."""
    filling = {need for step in planned.plan.steps if isinstance(step.operation, FillCache) for need in step.needs}
    brings = FetchWeights | ServeWeights | CheckCopy | FillCache | PullImage | LoadImage
    steps = tuple(
        step
        for step in planned.plan.steps
        if isinstance(step.operation, brings) or (step.id in filling and isinstance(step.operation, MakeDirectory))
    )
    here = {step.id for step in steps}
    alone = tuple(
        replace(step, needs=tuple(need for need in step.needs if need in here), on_failure=(), elsewhere=())
        for step in steps
    )
    return replace(planned, plan=replace(planned.plan, steps=alone, changes=()))


def pull(session: Session, planned: Planned, orders: Orders) -> ApplyResult:
    """Brings them there; changes no container, and takes no lock: fetches of one model wait for each other."""
    from deployer.engine.context import ApplyContext
    from deployer.engine.execute import execute
    from deployer.engine.perform import Performer
    from deployer.values.events import ApplyResult
    from deployer.workflow.applying import new_apply_id
    from deployer.workflow.images import registries_of

    spec, id_ = session.project.spec, new_apply_id()
    images = registries_of(session)
    folder = Path(session.project.path).parent
    context = ApplyContext(
        spec.project, spec.id, id_, session.secrets, spec.registries, hubs=spec.hubs, folder=folder, images=images
    )
    try:
        outcomes = execute(planned.plan.steps, Performer(context, session.fleet), orders.report, orders.interrupt)
    finally:
        context.peers.close()
    return ApplyResult(id_, outcomes, interrupted=orders.interrupt.is_set)
