"""What is decided for a service before its replicas are placed: backend and category, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from deployer import backends
from deployer.backends.base import Backend
from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic
from deployer.planning.adapted import adapted
from deployer.planning.category import category_of
from deployer.planning.hosts import HostIndex
from deployer.planning.models import BY_NAME, format_of
from deployer.planning.replicas import Found
from deployer.planning.served import Served, category_of_its_own, served_by
from deployer.planning.weights import manifest_of, path_fact
from deployer.spec.language import BackendPin, DeploySpec, Model, Service
from deployer.spec.project import Project
from deployer.values.facts import HostFacts, PathFact
from deployer.values.names import ReplicaKey
from deployer.values.plan import Reason
from deployer.values.resolved import Unresolved
from deployer.values.weights import Listing, Manifest

LLM = "llm"
NOT_ASKED = Unresolved("no hub was asked", "write deploy.lock with `deployer lock`, or plan with hosts")
DECIDED, NOTHING_TELLS = "decided before", "nothing tells"


@dataclass(frozen=True, slots=True)
class Seen:
    """The hosts that gave facts, which of them a selector means, and what the models' sources have."""

    facts: Mapping[str, HostFacts]
    index: HostIndex
    listings: Mapping[str, Listing | Unresolved] = field(default_factory=dict)

    def listing(self, model: Model) -> Listing | Unresolved:
        return self.listings.get(model.reference, NOT_ASKED)


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
    why_backend: str  # empty where the spec names it
    why_category: str = ""  # empty where the spec says it
    draft: Model | None = None  # of speculative decoding
    overrides: tuple[int, ...] = ()  # that are in `service`, by their place in the list
    others: tuple[tuple[Model, str], ...] = ()  # its models after the first, with their categories
    fetched: PathFact | None = None  # of the first model, where it is fetched: what its source says of it
    manifests: Mapping[Model, Manifest | Unresolved] = field(default_factory=dict)  # of those that are fetched

    def path_on(self, facts: HostFacts) -> PathFact | None:
        """What is known of the first model's files: by the host, or by where they are fetched from."""
        return self.fetched if self.model.is_fetched else facts.paths.get(self.model.location)

    @property
    def served(self) -> tuple[Served, ...]:
        return served_by(self.service, ((self.model, self.category), *self.others))

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What was decided now, for people."""
        found = []
        if self.why_backend not in ("", DECIDED):
            found.append(Reason("backend-chosen", f"`{self.backend_name}` serves it, since {self.why_backend}"))
        if self.why_category not in ("", DECIDED, NOTHING_TELLS):
            found.append(Reason("category-detected", f"its category is {self.category}, since {self.why_category}"))
        return tuple(found)

    @property
    def is_running(self) -> bool:
        """Its replicas are to run: only then are they placed."""
        return self.service.state == "running"


def choose(project: Project, name: str, seen: Seen, found: Iterable[Found]) -> ServiceChoice | Diagnostic:
    """Settles backend and category of one service. The spec wins, then what was decided before, then the format."""
    service = project.spec.services[name]
    items = tuple(found)
    known = _each_known(project, service, seen, items)
    if known is None:
        where = project.where("services", name)
        return Diagnostic("no-model", f"service `{name}` names no model", where, hint="add `model: NAME`")
    unresolved = _unresolved(project, name, seen, known, items)
    if unresolved is not None:
        return unresolved
    chosen, why = known[0].backend(service.backend)
    if chosen is None:
        return _no_backend(project, name, known[0], why)
    backend = _checked_backend(project, name, chosen, known)
    if isinstance(backend, Diagnostic):
        return backend
    draft = _draft(project, name)
    if isinstance(draft, Diagnostic):
        return draft
    model, category, why_category = known[0].model, *known[0].category
    backend = adapted(backend, project, chosen, model)
    manifests = _manifests(project, name, backend, seen, [one.model for one in known] + ([draft] if draft else []))
    if isinstance(manifests, Diagnostic):
        return manifests
    return ServiceChoice(
        name,
        service,
        model,
        backend,
        chosen,
        project.spec.backends.get(chosen),
        category,
        why,
        why_category,
        draft,
        others=tuple((one.model, one.category[0]) for one in known[1:]),
        fetched=_path_of(service, model, seen) if model.is_fetched else None,
        manifests=manifests,
    )


def _checked_backend(project: Project, name: str, chosen: str, known: Iterable[_Known]) -> Backend | Diagnostic:
    """The built-in one that the chosen one stands on, if it serves all that is known."""
    backend = backends.find(base_backend(project.spec, chosen))
    if backend is None:
        where = project.where("services", name)
        return Diagnostic("unknown-backend", f"backend `{chosen}` of service `{name}` is not known", where)
    refused = next((r for one in known if (r := _refusal(project, name, backend, one)) is not None), None)
    return refused if refused is not None else backend


def _draft(project: Project, name: str) -> Model | Diagnostic | None:
    """The model that guesses ahead of the service's own; None where it has none."""
    speculative = project.spec.services[name].options.speculative
    if speculative is None:
        return None
    return project.spec.models.get(speculative.model) or Diagnostic(
        "unknown-model",
        f"draft model `{speculative.model}` of service `{name}` is not in `models`",
        project.where("services", name, "options", "speculative"),
        hint="add it to `models`, or correct the name",
    )


def _unresolved(
    project: Project, name: str, seen: Seen, known: Iterable[_Known], found: Iterable[Found]
) -> Diagnostic | None:
    """A model whose files nobody could say, where no replica has been given any either."""
    if any(item.recorded.decisions.get("cached") for item in found):
        return None
    for one in known:
        listing = seen.listing(one.model) if one.model.is_fetched else None
        if isinstance(listing, Unresolved):
            message = f"the files of `{one.model.source[0]}` are not known (service `{name}`): {listing.reason}"
            where = project.where("models", one.name, "source") or project.where("services", name)
            return Diagnostic("weights-unresolved", message, where, hint=listing.hint)
    return None


def _manifests(
    project: Project, name: str, backend: Backend, seen: Seen, models: Iterable[Model]
) -> dict[Model, Manifest | Unresolved] | Diagnostic:
    """The files of each model that is fetched; why there are none is no error where a host still has what it ran."""
    found: dict[Model, Manifest | Unresolved] = {}
    for model in models:
        if not model.is_fetched:
            continue
        listing = seen.listing(model)
        made = manifest_of(model, listing, backend.formats) if isinstance(listing, Listing) else listing
        if isinstance(made, Diagnostic):
            named = next((n for n, m in project.spec.models.items() if m.source == model.source), "")
            where = project.where("models", named, "source") or project.where("services", name)
            return replace(made, where=where, message=f"{made.message} (service `{name}`)")
        found[model] = made
    return found


def _each_known(project: Project, service: Service, seen: Seen, found: tuple[Found, ...]) -> tuple[_Known, ...] | None:
    """Of each of a service's models. What was decided before is about the first."""
    known = []
    for index, alone in enumerate(service.each()):
        model = project.spec.models.get(alone.model or "")
        if model is None:
            return None
        if service.models and service.models[index].category is not None:
            model = model.model_copy(update={"category": service.models[index].category})
        known.append(_what_is_known(project, alone, model, seen, () if index else found))
    return tuple(known)


def _no_backend(project: Project, name: str, known: _Known, why: str) -> Diagnostic:
    """With those that could be named, where it is known what the model is."""
    where = project.where("services", name, "model") or project.where("services", name)
    able = [b.name for b in backends.load_all() if known.format is not None and _serves(b, known)]
    hint = "name one with `backend`, or correct the model's `source` or `category`"
    if able:
        of_it = ", ".join(f"`{backend}`" for backend in able)
        hint = f"name one with `backend`; of category `{known.category[0]}` are {of_it}"
    return Diagnostic("no-backend", f"no backend for service `{name}`: {why}", where, hint=hint)


def _serves(backend: Backend, known: _Known) -> bool:
    is_format = not backend.formats or known.format in (*backend.formats, *backend.sources)
    return is_format and known.category[0] in backend.categories and known.model.scheme in backend.sources


def _refusal(project: Project, name: str, backend: Backend, known: _Known) -> Diagnostic | None:
    """Why the backend does not serve a model of the service."""
    if known.model.scheme not in backend.sources:
        takes = ", ".join(f"`{scheme}://`" for scheme in backend.sources)
        return Diagnostic(
            "source-refused",
            f"`{backend.name}` cannot take `{known.model.source[0]}` (service `{name}`)",
            project.where("models", known.name, "source") or project.where("services", name),
            hint=f"it takes {takes}; correct `source`, or name another `backend`",
        )
    category = known.category[0]
    if category not in backend.categories:
        return Diagnostic(
            "category-refused",
            f"`{backend.name}` does not serve models of category `{category}` (service `{name}`)",
            project.where("models", known.name, "category") or project.where("services", name),
            hint="it serves " + ", ".join(f"`{c}`" for c in backend.categories),
        )
    return None


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a service's model. `format`: or the scheme, where the backend has the model itself. `decided`:
    the backend that was decided before, from the same. `on_cpus`: no GPU is there for it."""

    name: str
    model: Model
    format: str | None
    category: tuple[str, str]
    decided: str | None
    on_cpus: bool

    def backend(self, named: str | None) -> tuple[str | None, str]:
        """A name and why it is that; without a name, why there is none."""
        if named is not None:
            return named, ""
        if self.decided is not None:
            return self.decided, DECIDED
        if self.format is None:
            return None, f"the format of `{self.model.source[0]}` is not known"
        category, format_ = self.category[0], self.format
        of_it = f", its category {category}" if category != LLM else ""
        known = backends.load_all() if self.on_cpus else ()
        if (found := next((b for b in known if category in b.chosen_on_cpus.get(format_, ())), None)) is not None:
            return found.name, f"the model's format is {format_}{of_it}, and there is no GPU for it"
        for backend in backends.load_all():
            if category in backend.chosen_for.get(format_, ()):
                return backend.name, f"the model's format is {format_}{of_it}"
        return None, f"nothing is chosen by itself for {format_} models of category `{category}`"


def _what_is_known(project: Project, service: Service, model: Model, seen: Seen, found: tuple[Found, ...]) -> _Known:
    path = _path_of(service, model, seen)
    on_cpus = service.placement.gpus == "none" or _is_without_gpus(_meant(service, seen))
    standing = [item.recorded.decisions for item in found if _stands(project, model, item)]
    names = {str(decisions["backend"]) for decisions in standing}
    categories = {str(decisions.get("category", LLM)) for decisions in standing}
    # no host decides for others: where they disagree, it is decided anew
    decided = names.pop() if len(names) == 1 else None
    before = categories.pop() if len(categories) == 1 else None
    category: tuple[str, str] | None = (model.category, "") if model.category is not None else None
    if category is None:
        known = category_of(path) or _of_backend(project, service, model)
        category = (before, DECIDED) if before is not None else known or (LLM, NOTHING_TELLS)
    format_ = format_of(model, path) if model.scheme not in BY_NAME else model.scheme
    return _Known(service.model or "", model, format_, category, decided, on_cpus)


def _meant(service: Service, seen: Seen) -> Iterator[HostFacts]:
    """The hosts that it may be on, one after the other: of thousands mostly the first one tells."""
    return (seen.facts[host] for host in seen.index.named(service.placement.hosts) if host in seen.facts)


def _is_without_gpus(hosts: Iterator[HostFacts]) -> bool:
    """There are hosts, and none of them has a GPU."""
    first = next(hosts, None)
    return first is not None and not first.gpus and not any(facts.gpus for facts in hosts)


def _path_of(service: Service, model: Model, seen: Seen) -> PathFact | None:
    """What is known of the model's files, before any host is chosen."""
    if model.is_fetched:
        listing = seen.listing(model)
        return path_fact(model, listing) if isinstance(listing, Listing) else None
    paths = (facts.paths.get(model.location) for facts in _meant(service, seen))
    return next((path for path in paths if path is not None and path.kind in ("file", "directory")), None)


def _of_backend(project: Project, service: Service, model: Model) -> tuple[str, str] | None:
    """What the backend says of a model of its own: the one that the spec names, or that such models choose."""
    by_scheme = (b for b in backends.load_all() if model.scheme in b.chosen_for)
    backend = backends.find(base_backend(project.spec, service.backend or "")) or next(by_scheme, None)
    category = category_of_its_own(backend, model) if backend is not None else None
    return (category, f"{backend.title} has it as such") if backend is not None and category is not None else None


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


def built_in_backends(spec: DeploySpec) -> dict[str, str]:
    """The spec's own names, and the built-in backend under each."""
    return {name: base_backend(spec, name) for name in spec.backends}


def model_inputs(model: Model) -> list[str]:
    """What an automatic choice of the backend was made from."""
    return [*model.source, model.category or ""]


def keys_of(choice: ServiceChoice) -> tuple[ReplicaKey, ...]:
    return tuple(ReplicaKey(choice.name, index) for index in range(choice.service.replicas))
