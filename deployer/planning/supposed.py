"""Facts as they would be: with other GPUs, with hosts that are not there yet, and with models in place. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from deployer.catalog.gpus import GpuModel
from deployer.dataclass import dataclass, replace
from deployer.planning.assumed import assume_facts, assume_listings, model_paths
from deployer.spec.project import Project
from deployer.values.facts import HostFacts, ObservedState, PathFact
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.model_shape import ModelShape
from deployer.values.plan import Placement, Plan
from deployer.values.weights import Listing


@dataclass(frozen=True, slots=True)
class Supposed:
    """`cards`: how many of which GPU a host has; `shapes`: what models are made of, by name."""

    lost: frozenset[str] = frozenset()
    cards: Mapping[str, tuple[int, GpuModel]] = field(default_factory=dict)
    shapes: Mapping[str, ModelShape] = field(default_factory=dict)
    models: frozenset[str] = frozenset()  # that are new, or of which something is supposed


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replica is by one plan and by the other; None: nowhere."""

    replica: str
    before: str | None
    after: str | None


def supposed_facts(project: Project, observed: ObservedState, what: Supposed) -> ObservedState:
    """`project`: as it would be. A model of which the facts say nothing is taken to be on every host."""
    hosts = {name: host for name, host in observed.hosts.items() if name not in what.lost}
    new = [name for name in what.cards if name not in hosts]
    assumed = assume_facts(project).reachable if new else {}
    for name in new:
        hosts[name] = replace(assumed[name], paths=_known_elsewhere(assumed[name].paths, observed))
    for name, (count, model) in what.cards.items():
        facts = hosts[name]
        if isinstance(facts, HostFacts):
            hosts[name] = replace(facts, gpu=_with_cards(facts.gpu, supposed_gpus(model, count, name)))
    added = _added_paths(project, observed, what)
    return ObservedState({n: _with_paths(h, added) if isinstance(h, HostFacts) else h for n, h in hosts.items()})


def supposed_gpus(model: GpuModel, count: int, host: str) -> tuple[Gpu, ...]:
    capability = ".".join(map(str, model.capability)) if model.capability is not None else None
    return tuple(
        Gpu(index, f"GPU-{host}-{index}", model.name, memory_total=model.memory, compute_capability=capability)
        for index in range(count)
    )


def _with_cards(seen: GpuFacts, cards: tuple[Gpu, ...]) -> GpuFacts:
    """Who used the GPUs that are gone, uses none of these. Each has the UUID of the one whose index it gets: an index
    that people wrote means the new one."""
    names = {gpu.index: gpu.uuid for gpu in seen.gpus if gpu.parent is None}
    gpus = tuple(replace(card, uuid=names.get(card.index, card.uuid)) for card in cards)
    return replace(seen, gpus=gpus, processes=(), topology={}, problem=None)


def _known_elsewhere(paths: Mapping[str, PathFact], observed: ObservedState) -> dict[str, PathFact]:
    """The same files, as hosts have them that were looked at."""
    seen = {
        path: fact for facts in observed.reachable.values() for path, fact in facts.paths.items() if _is_there(fact)
    }
    return {path: seen.get(path, fact) for path, fact in paths.items()}


def _is_there(fact: PathFact) -> bool:
    return fact.kind in ("file", "directory")


def _added_paths(project: Project, observed: ObservedState, what: Supposed) -> dict[str, PathFact]:
    """Of models on hosts: those that nobody asked the hosts about, and those of which something is supposed."""
    asked = {path for facts in observed.reachable.values() for path in facts.paths}
    found: dict[str, PathFact] = {}
    for name, model in project.spec.models.items():
        shape = what.shapes.get(name)
        if model.scheme == "file" and (shape is not None or model.location not in asked):
            for path, fact in model_paths(model.location).items():
                found[path] = replace(fact, shape=shape)
    return found


def _with_paths(facts: HostFacts, added: Mapping[str, PathFact]) -> HostFacts:
    """What a host has stays, but for its shape."""
    paths = dict(facts.paths)
    for path, fact in added.items():
        there = paths.get(path)
        paths[path] = replace(there, shape=fact.shape or there.shape) if there and _is_there(there) else fact
    return replace(facts, paths=paths) if added else facts


def supposed_listings(project: Project, what: Supposed) -> dict[str, Listing]:
    """What deploy.lock says of models that are fetched; of those that are supposed, what a model has."""
    found, assumed = dict(project.lock.listings()), assume_listings(project)
    for name in sorted(what.models):
        model = project.spec.models.get(name)
        if model is not None and model.is_fetched:
            listing = found.get(model.reference) or assumed[model.reference]
            found[model.reference] = replace(listing, shape=what.shapes.get(name) or listing.shape)
    return found


def differences(before: Plan, after: Plan) -> tuple[Difference, ...]:
    """Replicas that would be elsewhere, on other GPUs, or are in one of the plans alone."""
    was, would_be = _places(before.placements), _places(after.placements)
    return tuple(
        Difference(name, was.get(name), would_be.get(name))
        for name in sorted(was.keys() | would_be.keys())
        if was.get(name) != would_be.get(name)
    )


def _places(placements: Iterable[Placement]) -> dict[str, str]:
    return {
        str(one.key): ", ".join(_place(member.host, len(member.gpus)) for member in one.members) for one in placements
    }


def _place(host: str, gpus: int) -> str:
    return f"{host} ({gpus} GPU{'' if gpus == 1 else 's'})" if gpus else host
