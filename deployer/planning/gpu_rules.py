"""What is worth a look of placed replicas: how their GPUs, image and model go together. Warnings; forbids nothing.

Sources: NCCL user guide, "Sharing Data" (shared memory between processes); CUDA compatibility guide; transformers,
"Using a custom model" (`auto_map`, `trust_remote_code`).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from deployer.backends.base import Refused, Wanted
from deployer.backends.versions import parse_version
from deployer.catalog.drivers import cuda_of_tag, driver_for, newest_cuda, parse_cuda
from deployer.catalog.gpus import find_gpu
from deployer.dataclass import replace
from deployer.errors import Diagnostic, Severity, warning
from deployer.planning.desired import DesiredReplica
from deployer.planning.image_tags import image_for_gpus
from deployer.planning.nim_decision import profile_problems
from deployer.planning.placed import Placed
from deployer.spec.project import Project
from deployer.values.container import ContainerSpec
from deployer.values.images import parse_image

if TYPE_CHECKING:
    from deployer.planning.fitting import Fitting

GIB = 1 << 30
DATA_CENTER = ("datacenter", "superchip")


def gpu_warnings(
    project: Project, fitting: Callable[[], Fitting], desired: Iterable[DesiredReplica]
) -> list[Diagnostic]:
    """Each thing once a service, however many of its replicas it is about."""
    found: dict[tuple[str, str, str], Diagnostic] = {}
    for replica in desired:
        name = replica.key.service
        for problem in (*_of_replica(replica), *_of_estimate(fitting, replica), *profile_problems(replica)):
            placed = replace(problem, where=problem.where or project.where("services", name))
            found.setdefault((name, problem.code, problem.message), placed)
    return list(found.values())


def _of_estimate(fitting: Callable[[], Fitting], replica: DesiredReplica) -> tuple[Diagnostic, ...]:
    placed = replica.placed
    return fitting().warnings(placed.choice, placed.facts, placed.gpus) if placed.gpus else ()


def _of_replica(replica: DesiredReplica) -> Iterator[Diagnostic]:
    yield from _shared_memory(replica)
    yield from _processors(replica)
    yield from _cuda(replica)
    yield from _wanted(replica)
    yield from _code(replica)
    yield from _sharing(replica)


def _sharing(replica: DesiredReplica) -> Iterator[Diagnostic]:
    """A replica that leaves others nothing of its GPUs, and one whose cache is as large as what it finds free."""
    placed, options, name = replica.placed, replica.choice.service.options, replica.key.service
    memory = replica.choice.backend.memory
    if placed.share is None or memory is None or memory.bound == "needed":
        return
    if options.gpu_memory is None and options.gpu_memory_fraction is None:
        message = f"service `{name}` may share its GPUs, and takes {placed.share / GIB:.1f} GiB of each"
        yield warning("share-takes-all", message, hint="set `options.gpu_memory` to what it needs")
    if placed.cache is None or not _is_sized(replica.container, memory.cache_size):
        message = f"service `{name}` shares its GPUs, and takes for its cache what it finds free when it starts: "
        message += memory.no_cache_size or _why_not_sized(placed, memory.cache_size)
        hint = "where its host reboots, all start at once: see that it comes back, or give it GPUs of its own"
        yield warning("shared-cache-not-sized", message, hint=hint)


def _is_sized(container: ContainerSpec, name: str) -> bool:
    """It is told how large its cache is, by an argument or in a file."""
    in_files = (b64decode(file.data) for file in container.files.values())
    return bool(name) and (name in container.command or any(name.encode() in data for data in in_files))


def _why_not_sized(placed: Placed, name: str) -> str:
    return "what else it needs is not known" if placed.cache is None else f"this version has no `{name}`"


def _shared_memory(replica: DesiredReplica) -> Iterator[Diagnostic]:
    """The processes of several GPUs talk through /dev/shm."""
    usual, said = replica.choice.backend.shm_size_multi_gpu, replica.container.shm_size
    if len(replica.placed.gpus) < 2 or usual is None or replica.container.ipc == "host" or said is None or said >= GIB:
        return
    message = (
        f"service `{replica.key.service}` has {said >> 20} MiB of shared memory for {len(replica.placed.gpus)} GPUs"
    )
    hint = f"leave `container.shm_size` out, for {usual / GIB:.0f}g, or set `ipc: host`"
    yield warning("shm-too-small", message, hint=hint)


def _processors(replica: DesiredReplica) -> Iterator[Diagnostic]:
    """A replica with GPUs, and the backend's own image for hosts that have none."""
    image = replica.container.image
    other = image_for_gpus(replica.choice.backend, image) if replica.placed.gpus else None
    if other is not None:
        message = f"`{image}` is built for processors alone: the GPUs of service `{replica.key.service}` stay unused"
        yield warning("gpus-unused", message, hint=f"take `{other}`, or set `placement.gpus` to none")


def _cuda(replica: DesiredReplica) -> Iterator[Diagnostic]:
    """Of an image whose tag says its CUDA, and a driver that says its own."""
    facts = replica.placed.facts
    try:
        tag = parse_image(replica.container.image).tag
    except ValueError:
        return
    built = cuda_of_tag(tag or "") if replica.placed.gpus else None
    speaks = parse_cuda(facts.gpu.cuda) or newest_cuda(facts.gpu.driver)
    if built is None or speaks is None or built <= speaks:
        return
    message = (
        f"image `{replica.container.image}` is built for CUDA {built[0]}.{built[1]}, and the driver of host "
        f"`{replica.host}` speaks {speaks[0]}.{speaks[1]}"
    )
    branch = driver_for(built)
    update = f"update the driver to branch {branch}, or take" if branch is not None else "take"
    yield warning("driver-too-old", message, hint=f"{update} an image for CUDA {speaks[0]}.{speaks[1]} or older")


def _wanted(replica: DesiredReplica) -> Iterator[Diagnostic]:
    """What the release of the backend wants of its host."""
    facts, backend = replica.placed.facts, replica.choice.backend
    release = _release(replica)
    rule = next((w for w in reversed(backend.wanted) if release and release >= (parse_version(w.since) or ())), None)
    if rule is None or release is None:
        return
    name = f"{backend.title} {'.'.join(map(str, release))}"
    driver, docker = parse_version(facts.gpu.driver), parse_version(facts.docker.version)
    is_tagged = cuda_of_tag(_tag(replica)) is not None  # `_cuda` knows better then
    if driver is not None and replica.placed.gpus and not is_tagged and not _is_enough(driver, rule, replica):
        message = (
            f"{name} wants driver {_dotted(rule.driver)} or newer, and host `{replica.host}` has {facts.gpu.driver}"
        )
        yield warning("driver-too-old", message, hint=f"update the driver, {_branches(rule)}or take an older release")
    if docker is not None and rule.docker is not None and docker < rule.docker:
        message = f"{name} wants Docker {_dotted(rule.docker)} or newer, and host `{replica.host}` has "
        yield warning("docker-too-old", message + facts.docker.version, hint="update Docker")


def _tag(replica: DesiredReplica) -> str:
    try:
        return parse_image(replica.container.image).tag or ""
    except ValueError:
        return ""


def _release(replica: DesiredReplica) -> tuple[int, ...] | None:
    return parse_version(_tag(replica)) or parse_version(replica.choice.service.version)


def _is_enough(driver: tuple[int, ...], rule: Wanted, replica: DesiredReplica) -> bool:
    cards = [find_gpu(gpu.name) for gpu in replica.placed.facts.gpus if gpu.uuid in replica.placed.gpus]
    in_centers = all(card is not None and card.kind in DATA_CENTER for card in cards)
    older = rule.branches.get(driver[0]) if in_centers else None
    return driver >= rule.driver or (older is not None and driver >= older)


def _branches(rule: Wanted) -> str:
    """The older branches that do on GPUs of data centers, as a part of a sentence."""
    known = ", ".join(_dotted(version) for version in rule.branches.values())
    return f"on data-center GPUs {known} of their branches do too, " if known else ""


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _code(replica: DesiredReplica) -> Iterator[Diagnostic]:
    """A model that brings code, which its server runs only if told to."""
    choice = replica.choice
    path = choice.path_on(replica.placed.facts)
    told = choice.service.options.trust_remote_code is not None or "--trust-remote-code" in choice.service.args
    asks = not isinstance(choice.backend.options["trust_remote_code"], Refused)
    if path is None or path.shape is None or not path.shape.needs_code or told or not asks:
        return
    who = f"`{choice.backend.name}` does not run"
    message = f"the model of service `{replica.key.service}` brings code of its own, which {who}"
    hint = "where the server does not know the model by itself, set `trust_remote_code: true`"
    yield Diagnostic("model-brings-code", message, hint=hint, severity=Severity.INFO)
