"""Whether what a plan fetches fits on the disks that it goes to, with what the spec keeps free. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployer.errors import Diagnostic
from deployer.planning.cached import cache_of
from deployer.spec.language import Host
from deployer.spec.project import Project
from deployer.values.facts import Disk, HostFacts, ObservedState
from deployer.values.plan import FetchWeights, PullImage, Step

SLACK = 64 << 20  # bytes: folders, links and journals


def full_disks(project: Project, observed: ObservedState, steps: Iterable[Step]) -> Iterator[Diagnostic]:
    """One error a disk, before anything is stopped. An image's size is not known before its pull: it is named."""
    by_host: dict[str, list[Step]] = {}
    for step in steps:
        if isinstance(step.operation, FetchWeights | PullImage):
            by_host.setdefault(step.host, []).append(step)
    reachable = observed.reachable if by_host else {}
    for name, fetches in sorted(by_host.items()):
        facts = reachable.get(name)
        if facts is not None:
            yield from _full(project, facts, fetches)


def _full(project: Project, facts: HostFacts, fetches: list[Step]) -> Iterator[Diagnostic]:
    host = project.spec.hosts[facts.name]
    disk = next((d for d in facts.disks if d.path in (host.cache_dir, cache_of(host))), None)
    weights = [step for step in fetches if isinstance(step.operation, FetchWeights)]
    if disk is None or not weights:
        return
    reserve = host.reserve.disk if host.reserve is not None and host.reserve.disk is not None else 0
    need = sum(step.bytes or 0 for step in weights)
    if need == 0 or need + reserve + SLACK <= disk.free:
        return
    images = [s for s in fetches if isinstance(s.operation, PullImage)] if _holds_images(disk, facts) else []
    yield Diagnostic(
        "disk-too-small",
        f"what host `{facts.name}` has to fetch does not fit under `{host.cache_dir}`",
        project.where("hosts", facts.name),
        evidence=(f"{_size(disk.free)} are free on `{disk.mount}`", *_lines(weights, images, reserve)),
        hint=_hint(host),
        host=facts.name,
    )


def _lines(weights: list[Step], images: list[Step], reserve: int) -> Iterator[str]:
    for step in weights[:10]:
        if isinstance(step.operation, FetchWeights):
            yield f"{_size(step.bytes or 0)} of {step.operation.manifest.source} are missing"
    for step in images[:5]:
        if isinstance(step.operation, PullImage):
            yield f"image {step.operation.image} comes on top"
    if reserve:
        yield f"{_size(reserve)} are to stay free (`reserve.disk`)"


def _hint(host: Host) -> str:
    lower = ", lower `reserve.disk`" if host.reserve is not None and host.reserve.disk else ""
    return f"free space there{lower}, or set `cache_dir` of the host to a larger disk"


def _holds_images(disk: Disk, facts: HostFacts) -> bool:
    return any(d.mount == disk.mount for d in facts.disks if d.path == facts.docker.root_dir)


def _size(count: int) -> str:
    unit, name = (2**30, "GiB") if count >= 2**30 else (2**20, "MiB")
    return f"{count / unit:.1f} {name}"
