"""nim-profiles: which profiles a service's NIM image has, and which of them its replicas take. Changes no replica."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployer.backends.base import Backend
from deployer.catalog.gpus import find_gpu
from deployer.dataclass import replace
from deployer.errors import DeployerError, Diagnostic, HostError, OperationError
from deployer.formats.nim_profiles import parse_profile_list
from deployer.planning.nim_decision import gpus_of, profiles_of, written_profile
from deployer.planning.nim_profiles import HostProfiles, NimReport, ProfileWish, judged_profiles
from deployer.planning.supposed import supposed_gpus
from deployer.spec.language import Service
from deployer.values.facts import HostFacts
from deployer.values.gpu_facts import Gpu
from deployer.values.nim import ImageProfiles, SeenGpu
from deployer.workflow.estimating import gpu_of

if TYPE_CHECKING:
    from deployer.spec.project import Project
    from deployer.transport.base import Transport
    from deployer.values.container import ContainerSpec
    from deployer.values.plan import Plan
    from deployer.workflow.inputs import Inputs
    from deployer.workflow.session import Planned, Report, Session

MOST_RECORDED = 4 << 20  # bytes


def profiles_observed(session: Session, name: str, report: Report) -> NimReport:
    """Of the image on each host where the service is, or would be; an image that never said it is asked."""
    service = nim_service(session.project, name)
    planned = session.plan()
    containers = _containers(planned, name)
    problems = [] if containers else [*_why_nowhere(planned.plan, name)]
    hosts = []
    for host, container in sorted(containers.items()):
        facts = planned.observed.reachable[host]
        try:
            known = profiles_of(facts, container.image) or _ask(session, report, facts, (name, container))
        except (HostError, OperationError) as error:
            problems.append(error.diagnostic)
            continue
        gpus = gpus_of(facts, container.gpus)
        hosts.append(_judged(session.project, name, service, host, (known, gpus, container.image)))
    return NimReport(name, tuple(hosts), tuple(problems))


def profiles_recorded(inputs: Inputs, name: str, text: bytes, gpu: tuple[str, int | None] | None) -> NimReport:
    """Of a list that somebody recorded, for these GPUs, or else for those that the list names. Reaches no host."""
    from deployer.workflow.inputs import load

    project = load(inputs, confined=True)
    service = nim_service(project, name)
    found = parse_profile_list(text[:MOST_RECORDED].decode("utf-8", "replace"))
    if not found.profiles:
        hint = "record it with `docker run --rm --gpus all -e NGC_API_KEY IMAGE list-model-profiles > FILE`"
        raise DeployerError(Diagnostic("no-profiles", "the recorded list names no profile", hint=hint))
    cards = named_gpus(*gpu) if gpu is not None else largest_kind(found.gpus)
    of_others = gpu is not None  # what the image said then was said of other GPUs
    profiles = (replace(profile, said="unsaid") if of_others else profile for profile in found.profiles)
    known = ImageProfiles("", "", tuple(profiles))
    return NimReport(name, (_judged(project, name, service, "", (known, cards, str(service.image or ""))),))


def nim_service(project: Project, name: str) -> Service:
    """DeployerError where there is no such service, or what serves it has no profiles."""
    from deployer import backends
    from deployer.planning.choice import base_backend

    service = project.spec.services.get(name)
    if service is None:
        hint = "there are " + ", ".join(f"`{one}`" for one in sorted(project.spec.services))
        raise DeployerError(Diagnostic("unknown-service", f"there is no service `{name}`", hint=hint))
    written = base_backend(project.spec, service.backend or "nim")
    backend: Backend | None = backends.find(written)
    if backend is None or not backend.has_profiles:
        message = f"`{written}`, which serves `{name}`, has no profiles"
        raise DeployerError(Diagnostic("no-profiles", message, hint="name a service with `backend: nim`"))
    return project.with_backend(name, service.backend or "nim")


def _judged(
    project: Project, name: str, service: Service, host: str, of: tuple[ImageProfiles, tuple[Gpu, ...], str]
) -> HostProfiles:
    from deployer.planning.models import BY_NAME

    known, gpus, image = of
    model = project.spec.models.get(service.each()[0].model or "")
    wish = ProfileWish.of(service, own_weights=model is not None and model.scheme not in BY_NAME)
    judged = judged_profiles(known.profiles, wish, gpus)
    return HostProfiles(host, image, gpus, known.asked, judged, written_profile(service))


def _containers(planned: Planned, name: str) -> Mapping[str, ContainerSpec]:
    """By host, what runs there of the service, or what is to be created."""
    from deployer.values.names import LABEL_SERVICE
    from deployer.values.operations import CreateContainer

    found = {}
    for host, facts in planned.observed.reachable.items():
        for container in facts.containers:
            recorded = container.recorded
            if recorded is not None and recorded.key.service == name and recorded.role == "replica" and recorded.spec:
                found[host] = recorded.spec
    for step in planned.plan.steps:
        if isinstance(step.operation, CreateContainer) and step.operation.labels[LABEL_SERVICE] == name:
            found[step.host] = step.operation.spec
    return found


def _why_nowhere(plan: Plan, name: str) -> tuple[Diagnostic, ...]:
    found = tuple(problem for problem in plan.problems if problem.severity == "error")
    return found or (Diagnostic("no-placement", f"no replica of service `{name}` is placed", hint="see `plan`"),)


def _ask(session: Session, report: Report, facts: HostFacts, of: tuple[str, ContainerSpec]) -> ImageProfiles:
    from deployer.engine.ask_profiles import ProfileQuestion, ask_profiles
    from deployer.engine.context import ApplyContext, Site, failed
    from deployer.engine.watch import Watch
    from deployer.planning.local_images import image_id
    from deployer.workflow.looking import speaking

    name, container = of
    id_ = image_id(facts, container.image)
    if id_ is None:
        hint = f"fetch it there with `docker pull`, or read a recorded list: `nim-profiles {name} --recorded FILE`"
        raise failed("image-missing", f"image `{container.image}` is not on host `{facts.name}`", hint, (), facts.name)
    spec = session.project.spec
    context = ApplyContext(spec.project, spec.id, "", session.secrets)
    given = {key: container.env[key] for key in spec.services[name].env if key in container.env}
    given.pop("NIM_MODEL_PROFILE", None)
    question = ProfileQuestion(container.image, id_, name, container, given)

    def of_host(transport: Transport) -> ImageProfiles:
        found = ask_profiles(question, Site(context, transport, Watch("profiles", transport.name, "ask")))
        return ImageProfiles(id_, facts.time, found.profiles)

    with speaking(report, lambda seconds: f"still asking `{container.image}` on {facts.name} ({seconds:.0f} s)"):
        answer = session.fleet.map([facts.name], of_host)[facts.name]
    if isinstance(answer, HostError):
        raise answer
    return answer


def named_gpus(name: str, count: int | None) -> tuple[Gpu, ...]:
    """GPUs of the catalogue."""
    return supposed_gpus(gpu_of(name), count or 1, "here")


def largest_kind(seen: tuple[SeenGpu, ...]) -> tuple[Gpu, ...]:
    """Of the GPUs that a list names, those of the kind with most memory: a display's GPU may be among them."""
    cards = [_gpu(gpu) for gpu in seen]
    best = max(cards, key=lambda gpu: (gpu.memory_total or 0, -gpu.index), default=None)
    return tuple(gpu for gpu in cards if best is not None and gpu.name == best.name)


def _gpu(seen: SeenGpu) -> Gpu:
    model = find_gpu(seen.name)
    known = supposed_gpus(model, 1, "here")[0] if model is not None else Gpu(0, "", "")
    return replace(known, index=seen.index, uuid=f"GPU-here-{seen.index}", name=seen.name)
