"""Whether what a plan fetches fits on the disks that it goes to, with what the spec keeps free. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.planning.cached import cache_of
from deployer.spec.language import Host
from deployer.spec.project import Project
from deployer.values.facts import Disk, HostFacts, ObservedState
from deployer.values.image_content import UNPACKED
from deployer.values.plan import FetchWeights, LoadImage, PullImage, Step

SLACK = 64 << 20  # bytes: folders, links and journals


@dataclass(frozen=True, slots=True)
class Budget:
    """What goes to one disk of a host. `kept`: bytes that are to stay free there."""

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
    for name, fetches in sorted(by_host.items()):
        facts = reachable.get(name)
        if facts is not None:
            host = project.spec.hosts[name]
            for budget in _budgets(host, facts, fetches):
                if not budget.is_enough:
                    yield _full(project, facts, budget)


def _budgets(host: Host, facts: HostFacts, fetches: list[Step]) -> Iterator[Budget]:
    """One for each disk, though cache and images may share one."""
    weights = tuple(step for step in fetches if isinstance(step.operation, FetchWeights))
    images = tuple(step for step in fetches if not isinstance(step.operation, FetchWeights))
    cache = next((d for d in facts.disks if d.path in (host.cache_dir, cache_of(host))), None)
    docker = next((d for d in facts.disks if d.path == facts.docker.root_dir), None)
    reserve = host.reserve.disk if host.reserve is not None and host.reserve.disk is not None else 0
    if cache is not None and docker is not None and cache.mount == docker.mount:
        yield Budget(cache, weights, images, reserve)
        return
    if cache is not None:
        yield Budget(cache, weights, (), reserve)
    if docker is not None:
        yield Budget(docker, (), images, 0)


def _full(project: Project, facts: HostFacts, budget: Budget) -> Diagnostic:
    host = project.spec.hosts[facts.name]
    where = host.cache_dir if budget.weights else facts.docker.root_dir
    return Diagnostic(
        "disk-too-small",
        f"what host `{facts.name}` has to fetch does not fit under `{where}`",
        project.where("hosts", facts.name),
        evidence=(f"{_size(budget.disk.free)} are free on `{budget.disk.mount}`", *_lines(budget)),
        hint=_hint(host, budget),
        host=facts.name,
    )


def _lines(budget: Budget) -> Iterator[str]:
    for step in budget.weights[:10]:
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
