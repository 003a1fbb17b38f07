"""Reads hosts: what they are, what runs there, what of it is ours. Two round trips each; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from deployer.dataclass import dataclass, replace
from deployer.docker import inspect as shapes
from deployer.docker.ownership import Identity
from deployer.docker.reader import EngineReader
from deployer.docker.survey import Overview, read_details, read_overview
from deployer.engine.probe import Asked, Probed
from deployer.engine.probe_gpus import with_containers
from deployer.engine.probe_listeners import owned_listeners
from deployer.engine.probe_run import probe_host
from deployer.errors import DockerError, HostError
from deployer.formats.linux import parse_df
from deployer.formats.text import decoded
from deployer.transport.base import Transport
from deployer.values.facts import Disk, DockerFacts, HostFacts, ObservedContainer, ObservedState, Unreachable
from deployer.values.names import STATE_DIR

__all__ = ["Identity", "Question", "observe", "observe_host"]

T = TypeVar("T")
DOCKER_ROOT = "/var/lib/docker"  # of most hosts: asked about before Docker says where its own is
DOCKER_TIMEOUT = 60.0  # seconds for all that Docker is asked


@dataclass(frozen=True, slots=True)
class Question:
    """What to look at on a host beyond the usual: absolute paths of the spec, folders whose files are wanted, and
    places where copies of models may be."""

    paths: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


class Hosts(Protocol):
    """What is needed of a Fleet."""

    def map(self, names: Iterable[str], work: Callable[[Transport], T], limit: int = 32) -> dict[str, T | HostError]:
        """`work` on each host at once; a HostError is a result."""


def observe(fleet: Hosts, questions: Mapping[str, Question], identity: Identity) -> ObservedState:
    """Looks at every host asked about. A host that cannot be used is Unreachable, never an exception."""
    answers = fleet.map(sorted(questions), lambda host: observe_host(host, questions[host.name], identity))
    return ObservedState(
        {
            name: Unreachable(name, answer.diagnostic) if isinstance(answer, HostError) else answer
            for name, answer in answers.items()
        }
    )


def observe_host(transport: Transport, question: Question, identity: Identity) -> HostFacts | Unreachable:
    """One host, now; Unreachable where its Docker cannot be used. Raises the HostError that says why all else fails."""
    transport.connect()
    reader = EngineReader(transport.name, transport.engine, DOCKER_TIMEOUT)
    pool = ThreadPoolExecutor(1, thread_name_prefix="probe")
    try:
        copied = transport.host.model_dirs if question.copies else ()
        asked = Asked(question.paths, (STATE_DIR, DOCKER_ROOT, *copied), question.folders, question.copies)
        probing = pool.submit(probe_host, transport, asked)
        try:
            overview = read_overview(reader, transport.name)
        except DockerError as error:
            return Unreachable(transport.name, error.diagnostic, _beside(transport.name, probing))
        details = read_details(reader, overview, identity)
        probed = probing.result()
        root = _docker_disk(transport, overview.docker.root_dir)
        around = shapes.Surroundings(identity, details.image_labels, probed.gpu.gpus)
        found = [
            *_containers(details.inspected, around),
            *(shapes.parse_listed(e, around, w) for e, w in details.unread),
        ]
        containers = tuple(sorted(found, key=lambda c: (c.name, c.id)))
        facts = _with_containers(_facts(transport.name, probed, overview), probed, containers)
        paths = {path: fact for path, fact in facts.paths.items() if path in question.paths}
        there = {image.id for image in facts.images}
        flags = tuple(known for known in probed.image_flags if known.image in there)
        profiles = tuple(known for known in probed.nim_profiles if known.image in there)
        return replace(facts, paths=paths, disks=(*facts.disks, *root), image_flags=flags, nim_profiles=profiles)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        reader.close()


def _beside(name: str, probing: Future[Probed]) -> HostFacts | None:
    """What there is to say of a host without Docker."""
    try:
        probed = probing.result()
    except HostError:
        return None
    return _with_containers(_facts(name, probed, Overview(DockerFacts("", ""), [], [])), probed, ())


def _docker_disk(transport: Transport, root: str) -> tuple[Disk, ...]:
    """The disk under a Docker root that is not the usual one, which the probe looked at already."""
    if root == DOCKER_ROOT or not root.startswith("/") or "\0" in root:
        return ()
    found = parse_df(decoded(transport.run(["df", "-P", "-k", root], timeout=20.0).stdout))
    return (Disk(root, found.mount, found.total, found.free, found.server),) if found is not None else ()


def _containers(inspected: Iterable[Any], around: shapes.Surroundings) -> Iterator[ObservedContainer]:
    for data in inspected:
        try:
            yield shapes.parse_container(data, around)
        except ValueError:
            continue


def _facts(name: str, probed: Probed, overview: Overview) -> HostFacts:
    """All but what hangs on the containers."""
    elsewhere = overview.docker.root_dir != DOCKER_ROOT
    return HostFacts(
        name=name,
        hostname=probed.uname.hostname,
        os=probed.os,
        kernel=probed.uname.kernel,
        arch=probed.uname.arch,
        uid=probed.user.uid,
        gid=probed.user.gid,
        user=probed.user.user,
        cpus=probed.cpus,
        memory_total=probed.memory[0],
        memory_available=probed.memory[1],
        time=probed.time,
        docker=overview.docker,
        gpu=probed.gpu,
        disks=tuple(disk for disk in probed.disks if not (elsewhere and disk.path == DOCKER_ROOT)),
        paths=probed.paths,
        images=shapes.parse_images(overview.images),
        ephemeral_ports=probed.ephemeral_ports,
        sshd=probed.sshd,
        state_writable=probed.state_writable,
        locks=probed.locks,
        records=probed.records,
        proven=probed.proven,
        sshd_readable=probed.sshd_readable,
        distribution=probed.distribution,
        tools=probed.tools,
        clock_skew=probed.clock_skew,
        folders=probed.folders,
        copies=probed.copies,
        late_mounts=probed.late_mounts,
    )


def _with_containers(facts: HostFacts, probed: Probed, containers: tuple[ObservedContainer, ...]) -> HostFacts:
    known = frozenset(container.id for container in containers)
    return replace(
        facts,
        answered={id: took for id, took in probed.answered.items() if id in known},
        containers=containers,
        listeners=owned_listeners(probed.sockets, probed.owners, probed.containers, containers),
        gpu=with_containers(probed.gpu, probed.containers, known),
    )
