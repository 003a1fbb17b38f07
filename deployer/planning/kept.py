"""What the containers that a rollback may bring back need on their host: nobody may tidy that away. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deployer.dataclass import dataclass
from deployer.planning.cached import cache_of, manifests_on
from deployer.planning.replicas import Found
from deployer.spec.language import Host
from deployer.values.facts import HostFacts

GPU_NAMES = ("GPU-", "MIG-")  # a UUID begins so, as `nvidia-smi -L` lists them


@dataclass(frozen=True, slots=True)
class Needs:
    """`images` by id, `manifests` by id, `paths`: what is mounted from the host."""

    images: frozenset[str] = frozenset()
    manifests: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()


def needs_of_kept(facts: HostFacts) -> Needs:
    """Of all containers of the project on a host, whether they run or are kept."""
    ours = [c for c in facts.containers if c.recorded is not None]
    mounts = (m for c in ours if c.recorded is not None and c.recorded.spec is not None for m in c.recorded.spec.mounts)
    return Needs(
        frozenset(c.image_id for c in ours),
        frozenset(name for c in ours if c.recorded is not None for name in recorded_manifests(c.recorded.decisions)),
        frozenset(mount.source for mount in mounts if mount.kind == "bind"),
    )


def recorded_manifests(decisions: Mapping[str, Any]) -> tuple[str, ...]:
    """The file sets of cached models that a container was given."""
    cached = decisions.get("cached")
    entries = [entry for entry in cached if isinstance(entry, Mapping)] if isinstance(cached, list) else []
    return tuple(str(entry["manifest"]) for entry in entries if "manifest" in entry)


def gone_from(host: Host, item: Found) -> Iterator[str]:
    """What a former container needs and its host no longer has, as far as the host was asked."""
    there = manifests_on(host, item.facts)
    for manifest in recorded_manifests(item.recorded.decisions) if there is not None else ():
        if manifest not in (there or {}):
            yield f"its weights are no longer whole in `{cache_of(host)}`"
    mounts = item.recorded.spec.mounts if item.recorded.spec is not None else ()
    for source in sorted({mount.source for mount in mounts if mount.kind == "bind"}):
        found = item.facts.paths.get(source)
        if found is not None and found.kind == "missing":
            yield f"`{source}` is not there"
    yield from _gpus_gone(item)


def _gpus_gone(item: Found) -> Iterator[str]:
    spec, gpu = item.recorded.spec, item.facts.gpu
    named = [name for name in spec.gpus if name.startswith(GPU_NAMES)] if spec is not None else []
    if named and gpu.problem is not None:
        yield f"no GPU of the host can be used: {gpu.problem}"
        return
    known = {card.uuid: card for card in gpu.gpus}
    for name in sorted(named):
        if name not in known:
            yield f"its GPU {name} is not there"
        elif (problem := known[name].problem) is not None:
            yield f"its GPU {name} cannot be used: {problem}"
