"""How a placed replica proves that it serves: where it is asked, and for what."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from deployer import backends
from deployer.backends.base import Backend
from deployer.backends.versions import has_flag
from deployer.dataclass import dataclass, replace
from deployer.planning.category import vector_width
from deployer.planning.choice import base_backend
from deployer.planning.desired import DesiredReplica
from deployer.planning.image_tags import version_of
from deployer.planning.render_mounts import model_target
from deployer.planning.render_request import ModelFacts
from deployer.planning.replicas import Found
from deployer.planning.served import Served, served_names
from deployer.planning.server_api import api_of
from deployer.spec.language import DeploySpec, Service
from deployer.spec.language.services import ProbeRequest
from deployer.values.operations import AwaitReady, Endpoint, EnsureSetup, Probe
from deployer.values.setup import SetupTask

LISTED, MOST_LISTED = "listed", 100  # in a container's decisions
HEALTH_PATH = "health_path"  # likewise, where it is not its backend's own
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def endpoint(replica: DesiredReplica) -> Endpoint:
    """Where the replica answers, seen from its own host."""
    service = replica.choice.service
    keys = service.options.api_key or ()
    key = keys[0].secret if keys else None
    at = endpoint_of(replica.returns) if replica.returns is not None else None
    if at is not None:
        return replace(at, api_key=key)
    return Endpoint(ANY_ADDRESS.get(service.port.bind, service.port.bind), replica.placed.port, api_key=key)


def await_ready(replica: DesiredReplica) -> AwaitReady:
    return await_backend(replica.name, endpoint(replica), replica.choice.service, replica.choice.backend)


def await_backend(name: str, at: Endpoint, service: Service, backend: Backend) -> AwaitReady:
    health = service.health
    return AwaitReady(
        name=name,
        endpoint=at,
        path=api_of(service, backend).health,
        timeout=backend.ready_timeout if health.ready_timeout is None else health.ready_timeout,
        stall_timeout=backend.stall_timeout if health.stall_timeout is None else health.stall_timeout,
        note=backend.first_start or "",
    )


def proof(replica: DesiredReplica, tasks: Sequence[SetupTask]) -> Iterator[tuple[str, EnsureSetup | Probe, str]]:
    """What follows readiness, with a verb and the reason: setup, in the backend's order, and then real requests."""
    for task in tasks:
        yield "setup", EnsureSetup(replica.name, endpoint(replica), task), task.name
    for request in probes(replica):
        yield "probe", request, "a real answer proves health"


def probes(replica: DesiredReplica) -> Iterator[Probe]:
    """A real request to each model; none where the spec says `probe: none`."""
    choice = replica.choice
    if choice.service.health.probe == "none":
        return
    if replica.returns is not None:
        yield from recorded_probes(replica.returns, choice.service, choice.backend, endpoint(replica))
    else:
        for asked in _asked(replica):
            yield asked.probe(replica.name, endpoint(replica))


def _asked(replica: DesiredReplica) -> Iterator[Asked]:
    choice, placed = replica.choice, replica.placed
    for served, model in zip(choice.served, (placed.model, *placed.others), strict=True):
        vector = _vector(replica, served)
        yield Asked(served.service, choice.backend, served.category, replica.container.image, model, vector)


def _vector(replica: DesiredReplica, served: Served) -> int | None:
    choice, facts = replica.choice, replica.placed.facts
    if served.category != "embedding":
        return None
    is_first = served.model == choice.model
    path = choice.path_on(facts) if is_first else facts.paths.get(served.model.location)
    return vector_width(path, (*choice.service.args, *served.args))


@dataclass(frozen=True, slots=True)
class Asked:
    """What decides the request to a replica. `model`: its weights, where they are known. `vector`: how long it is that
    an embedding model gives."""

    service: Service
    backend: Backend
    category: str
    image: str
    model: ModelFacts | None = None
    vector: int | None = None

    def probe(self, name: str, endpoint: Endpoint) -> Probe:
        """The request of the model's category, also where the spec wants none after a start."""
        wanted, api = self.service.health.probe, api_of(self.service, self.backend)
        request = wanted if isinstance(wanted, ProbeRequest) else ProbeRequest.usual()
        paths = {
            "models": api.models,
            "chat": api.chat,
            "completions": api.completions,
            "embeddings": api.embeddings,
            "rerank": api.rerank,
            "speech": api.speech,
            "voices": api.voices,
            "transcriptions": api.transcriptions,
            "images": api.images,
        }
        return Probe(
            name=name,
            endpoint=endpoint,
            category=self.category,
            models=self.listed(),
            paths={name: path for name, path in paths.items() if path is not None},
            prompt=request.prompt,
            expect=request.expect,
            voice=api.voice,
            vector=self.vector,
        )

    def listed(self) -> tuple[str, ...]:
        """What the server's list of models must hold."""
        names, flag = served_names(self.service), self.backend.name_flag
        if flag is not None and not has_flag(self.backend, flag, version_of(self.service, self.image, self.backend)):
            return (posixpath.basename(model_target(self.model)),) if self.model is not None else ()
        match self.backend.names:
            case "path":
                return (model_target(self.model),) if self.model is not None else ()
            case "listed":
                return self.service.served_name
            case "tagged":
                return tuple(name if ":" in name else f"{name}:latest" for name in names)
            case _:
                return names


def probes_of_found(spec: DeploySpec, item: Found) -> tuple[Probe, ...]:
    """The same of a container that runs, by the spec at hand; () where the spec does not know its service, or its
    labels do not say where it answers."""
    service, backend = spec.services.get(item.recorded.key.service), backend_of(spec, item)
    at = endpoint_of(item)
    if service is None or backend is None or at is None:
        return ()
    keys = service.options.api_key or ()
    return recorded_probes(item, service, backend, replace(at, api_key=keys[0].secret if keys else None))


def recorded_probes(item: Found, service: Service, backend: Backend, at: Endpoint) -> tuple[Probe, ...]:
    """What a container of ours is asked, by what was noted when it was made; how, is as the spec says now."""
    decisions = item.recorded.decisions
    image = item.recorded.spec.image if item.recorded.spec is not None else ""
    others = decisions.get("other_categories")
    categories = [decisions.get("category", "llm"), *(others if isinstance(others, list) else ())]
    pairs = zip(service.each(), map(str, categories), strict=False)  # the spec may have more models by now
    probes = tuple(Asked(alone, backend, kind, image).probe(item.container.name, at) for alone, kind in pairs)
    listed = _listed_then(decisions.get(LISTED))
    return tuple(replace(p, models=names) for p, names in zip(probes, listed, strict=False)) if listed else probes


def with_listed(replica: DesiredReplica) -> DesiredReplica:
    """With a note of what its server's list of models will hold: the spec may call them otherwise later."""
    is_asked = replica.choice.service.health.probe != "none"
    listed = [list(asked.listed()) for asked in _asked(replica)] if is_asked else []
    return replace(replica, decisions={**replica.decisions, LISTED: listed}) if any(listed) else replica


def with_health_path(replica: DesiredReplica) -> DesiredReplica:
    """With a note of where it is asked whether it serves: the spec may say otherwise before anybody applies it."""
    backend = replica.choice.backend
    path = api_of(replica.choice.service, backend).health
    if path == backend.api.health:
        return replica
    return replace(replica, decisions={**replica.decisions, HEALTH_PATH: path})


def health_paths(spec: DeploySpec, item: Found, backend: Backend) -> tuple[str, ...]:
    """Where a container that runs may say that it serves: as the spec has it, and as was noted when it was made. One
    that answers at either is up, whatever was edited since."""
    service, noted = spec.services.get(item.recorded.key.service), item.recorded.decisions.get(HEALTH_PATH)
    then = noted if isinstance(noted, str) and noted.startswith("/") and noted.isprintable() else backend.api.health
    now = api_of(service, backend).health if service is not None else then
    return tuple(dict.fromkeys((now, then)))


def _listed_then(noted: object) -> list[tuple[str, ...]]:
    """What `with_listed` noted; none where a label says something else."""
    found = noted[:MOST_LISTED] if isinstance(noted, list) else []
    if not all(isinstance(names, list) and all(isinstance(n, str) for n in names) for names in found):
        return []
    return [tuple(names[:MOST_LISTED]) for names in found]


def answers_of_found(spec: DeploySpec, item: Found, name: str) -> tuple[AwaitReady | Probe, ...]:
    """How a container that served before proves that it serves again, once it is called `name`; () where that cannot be
    told."""
    service, backend, at = spec.services.get(item.recorded.key.service), backend_of(spec, item), endpoint_of(item)
    if service is None or backend is None or at is None:
        return ()
    probes = probes_of_found(spec, item) if service.health.probe != "none" else ()
    return (await_backend(name, at, service, backend), *(replace(probe, name=name) for probe in probes))


def backend_of(spec: DeploySpec, item: Found) -> Backend | None:
    return backends.find(base_backend(spec, str(item.recorded.decisions.get("backend"))))


def endpoint_of(item: Found) -> Endpoint | None:
    """Where a container that runs answers, seen from its own host."""
    port = item.recorded.decisions.get("port")
    if not isinstance(port, int):
        return None
    bind = next((address for address, published, _ in item.container.ports if published == port), "")
    return Endpoint(ANY_ADDRESS.get(bind, bind), port)


def url(replica: DesiredReplica, host_address: str) -> str:
    """As a client writes it: the host's address where the port is open to others."""
    bind = replica.choice.service.port.bind
    address = host_address if bind in ANY_ADDRESS else bind
    shown = f"[{address}]" if ":" in address else address
    return f"http://{shown}:{replica.placed.port}"
