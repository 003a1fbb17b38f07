"""Whether what a plan fetches fits on the disks that it goes to, with what the spec keeps free. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.planning.shared_caches import disk_of
from deployer.spec.language import Host
from deployer.spec.project import Project
from deployer.values.facts import Disk, HostFacts, ObservedState
from deployer.values.image_content import UNPACKED
from deployer.values.plan import Step
from deployer.values.transfers import FetchWeights, LoadImage, PullImage

SLACK = 64 << 20  # bytes: folders, links and journals


@dataclass(frozen=True, slots=True)
class Budget:
    """What goes to one disk: of a host, or of several where it is on a file server. `kept`: bytes that are to stay free
    there."""

    hosts: tuple[str, ...]
    disk: Disk
    weights: tuple[Step, ...]
    images: tuple[Step, ...]
    kept: int

    @property
    def need(self) -> int:
        unpacked = sum(step.bytes or 0 for step in self.images) * UNPACKED
        return sum(step.bytes or 0 for step in self.weights) + int(unpacked)

    @property
    def is_enough(self) -> bool:
        return self.need == 0 or self.need + self.kept + SLACK <= self.disk.free


def full_disks(project: Project, observed: ObservedState, steps: Iterable[Step]) -> Iterator[Diagnostic]:
    """One error a disk, before anything is stopped. An image that nobody could look up has no size: it is named."""
    by_host: dict[str, list[Step]] = {}
    for step in steps:
        if isinstance(step.operation, FetchWeights | PullImage | LoadImage):
            by_host.setdefault(step.host, []).append(step)
    reachable = observed.reachable if by_host else {}
    found = (
        budget
        for name, fetches in sorted(by_host.items())
        if name in reachable
        for budget in _budgets(project.spec.hosts[name], reachable[name], fetches)
    )
    for budget in _added_up(found):
        if not budget.is_enough:
            yield _full(project, reachable[budget.hosts[0]], budget)


def _added_up(found: Iterable[Budget]) -> Iterator[Budget]:
    """One a disk, whichever hosts have it."""
    disks: dict[tuple[str, ...], Budget] = {}
    for budget in found:
        key = (budget.disk.server,) if budget.disk.server else (*budget.hosts, budget.disk.path)
        disks[key] = _sum(disks[key], budget) if key in disks else budget
    yield from disks.values()


def _sum(one: Budget, other: Budget) -> Budget:
    hosts = tuple(dict.fromkeys((*one.hosts, *other.hosts)))
    weights, images = (*one.weights, *other.weights), (*one.images, *other.images)
    return Budget(hosts, one.disk, weights, images, max(one.kept, other.kept))


def _budgets(host: Host, facts: HostFacts, fetches: list[Step]) -> Iterator[Budget]:
    """One for each disk, though cache and images may share one."""
    weights = tuple(step for step in fetches if isinstance(step.operation, FetchWeights))
    images = tuple(step for step in fetches if not isinstance(step.operation, FetchWeights))
    cache, names = disk_of(host, facts), (facts.name,)
    docker = next((d for d in facts.disks if d.path == facts.docker.root_dir), None)
    reserve = host.reserve.disk if host.reserve is not None and host.reserve.disk is not None else 0
    if cache is not None and docker is not None and cache.mount == docker.mount:
        yield Budget(names, cache, weights, images, reserve)
        return
    if cache is not None:
        yield Budget(names, cache, weights, (), reserve)
    if docker is not None:
        yield Budget(names, docker, (), images, 0)


def _full(project: Project, facts: HostFacts, budget: Budget) -> Diagnostic:
    host = project.spec.hosts[facts.name]
    where = host.cache_dir if budget.weights else facts.docker.root_dir
    who = " and ".join(f"`{name}`" for name in budget.hosts)
    fetches = f"hosts {who} have" if len(budget.hosts) > 1 else f"host {who} has"
    return Diagnostic(
        "disk-too-small",
        f"what {fetches} to fetch does not fit under `{where}`",
        project.where("hosts", facts.name),
        evidence=(f"{_size(budget.disk.free)} are free on `{budget.disk.mount}`", *_lines(budget)),
        hint=_hint(host, budget),
        host=facts.name,
    )


def _lines(budget: Budget) -> Iterator[str]:
    missing = [step for step in budget.weights if step.bytes or step.bytes is None]
    for step in missing[:10]:
        if isinstance(step.operation, FetchWeights):
            yield f"{_size(step.bytes or 0)} of {step.operation.manifest.source} are missing"
    for step in budget.images[:5]:
        if isinstance(step.operation, PullImage | LoadImage):
            yield _image_line(step.operation.image, step.bytes)
    if budget.kept:
        yield f"{_size(budget.kept)} are to stay free (`reserve.disk`)"


def _image_line(image: str, missing: int | None) -> str:
    if missing is None:
        return f"image {image} comes on top"
    return f"{_size(missing)} of image {image} are missing, about {_size(int(missing * UNPACKED))} once unpacked"


def _hint(host: Host, budget: Budget) -> str:
    if not budget.weights:
        return "free space there: `docker system df` on the host shows what Docker keeps"
    lower = ", lower `reserve.disk`" if host.reserve is not None and host.reserve.disk else ""
    return f"free space there{lower}, or set `cache_dir` of the host to a larger disk"


def _size(count: int) -> str:
    unit, name = (2**30, "GiB") if count >= 2**30 else (2**20, "MiB")
    return f"{count / unit:.1f} {name}"
