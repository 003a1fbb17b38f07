"""What is decided for a service before its replicas are placed: backend and category, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deployer import backends
from deployer.backends.base import Backend
from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.planning.hosts import HostIndex
from deployer.planning.models import format_of
from deployer.planning.replicas import Found
from deployer.spec.language import BackendPin, DeploySpec, Model, Service
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey

BY_FORMAT = {"gguf": "llama.cpp", "safetensors": "vllm"}
BY_SOURCE = {"ollama": "ollama"}


@dataclass(frozen=True, slots=True)
class Seen:
    """The hosts that gave facts, and which of them a selector means."""

    facts: Mapping[str, HostFacts]
    index: HostIndex


@dataclass(frozen=True, slots=True)
class ServiceChoice:
    """A service with its backend settled. `pin` is the spec's `backends` entry, `backend_name` as the spec knows it."""

    name: str
    service: Service
    model: Model
    backend: Backend
    backend_name: str
    pin: BackendPin | None
    category: str
    why_backend: str
    draft: Model | None = None  # of speculative decoding

    @property
    def is_running(self) -> bool:
        """Its replicas are to run: only then are they placed."""
        return self.service.state == "running"


def choose(project: Project, name: str, seen: Seen, found: Iterable[Found]) -> ServiceChoice | Diagnostic:
    """Settles backend and category of one service. The spec wins, then what was decided before, then the format."""
    service = project.spec.services[name]
    where = project.where("services", name)
    model = project.spec.models.get(service.model or "")
    if model is None:
        return Diagnostic("no-model", f"service `{name}` names no model", where, hint="add `model: NAME`")
    chosen, why = _backend_name(project, service, model, seen, found)
    if chosen is None:
        return Diagnostic(
            "no-backend",
            f"no backend for service `{name}`: the format of `{model.source[0]}` is not known",
            project.where("services", name, "model") or where,
            hint="name one with `backend`, or correct the model's `source`",
        )
    backend = backends.find(base_backend(project.spec, chosen))
    if backend is None:
        return Diagnostic("unknown-backend", f"backend `{chosen}` of service `{name}` is not known", where)
    if model.scheme not in backend.sources:
        takes = ", ".join(f"`{scheme}://`" for scheme in backend.sources)
        return Diagnostic(
            "source-refused",
            f"`{backend.name}` cannot take `{model.source[0]}` (service `{name}`)",
            project.where("models", service.model or "", "source") or where,
            hint=f"it takes {takes}; correct `source`, or name another `backend`",
        )
    category = model.category or "llm"
    if category not in backend.categories:
        return Diagnostic(
            "category-refused",
            f"`{backend.name}` does not serve models of category `{category}` (service `{name}`)",
            project.where("models", service.model or "", "category") or where,
            hint="it serves " + ", ".join(f"`{c}`" for c in backend.categories),
        )
    pin = project.spec.backends.get(chosen)
    speculative = service.options.speculative
    draft = project.spec.models.get(speculative.model) if speculative is not None else None
    if speculative is not None and draft is None:
        return Diagnostic(
            "unknown-model",
            f"draft model `{speculative.model}` of service `{name}` is not in `models`",
            project.where("services", name, "options", "speculative"),
            hint="add it to `models`, or correct the name",
        )
    return ServiceChoice(name, service, model, backend, chosen, pin, category, why, draft)


def _backend_name(
    project: Project, service: Service, model: Model, seen: Seen, found: Iterable[Found]
) -> tuple[str | None, str]:
    if service.backend is not None:
        return service.backend, "named in the spec"
    decided = {str(item.recorded.decisions["backend"]) for item in found if _stands(project, model, item)}
    if len(decided) == 1:  # no host decides for others: where they disagree, it is decided anew
        return decided.pop(), "decided before"
    if model.scheme in BY_SOURCE:
        return BY_SOURCE[model.scheme], f"the model's source is {model.scheme}://"
    meant = seen.index.named(service.placement.hosts)
    paths = (seen.facts[host].paths.get(model.location) for host in meant if host in seen.facts)
    format_ = next((f for f in (format_of(model, path) for path in paths) if f), format_of(model, None))
    if format_ is None:
        return None, ""
    return BY_FORMAT[format_], f"the model's format is {format_}"


def _stands(project: Project, model: Model, item: Found) -> bool:
    """Its backend was decided from what the spec still says, and there is such a backend."""
    decided = item.recorded.decisions.get("backend")
    known = isinstance(decided, str) and backends.find(base_backend(project.spec, decided)) is not None
    return known and item.recorded.decisions.get("model") == model_inputs(model)


def base_backend(spec: DeploySpec, name: str) -> str:
    """The built-in backend under a name of the spec, through `extends`."""
    for _ in range(len(spec.backends) + 1):
        pin = spec.backends.get(name)
        if pin is None or pin.extends is None:
            return name
        name = pin.extends
    return name


def model_inputs(model: Model) -> list[str]:
    """What an automatic choice of the backend was made from."""
    return [*model.source, model.category or ""]


def keys_of(choice: ServiceChoice) -> tuple[ReplicaKey, ...]:
    return tuple(ReplicaKey(choice.name, index) for index in range(choice.service.replicas))
