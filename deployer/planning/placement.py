"""Which host, GPUs and port each replica gets. Sticky: what runs stays where it is while that is still allowed.

Every host that is not taken says why. Greedy and deterministic; a GPU or port is never given twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from itertools import groupby

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.planning.cached import CachedModels
from deployer.planning.candidates import Candidates
from deployer.planning.choice import Seen, ServiceChoice, keys_of
from deployer.planning.claims import claims_held
from deployer.planning.decisions import Written, edits_since
from deployer.planning.estimate_fixes import Fix
from deployer.planning.fitting import Fitting
from deployer.planning.gpus import GpuRequest, gpus_asked, gpus_wanted, has_own_lists, overrides_of
from deployer.planning.handmade import HandMade, Takeovers
from deployer.planning.hosts import selector_key
from deployer.planning.ledger import NOTHING, Ledger, Own
from deployer.planning.models import locate_model
from deployer.planning.render_request import ModelFacts
from deployer.planning.replicas import Found, current
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey

DARK = {"maintenance": "is in maintenance", "lost": "is lost"}


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a replica goes; `port` is the host's."""

    key: ReplicaKey
    choice: ServiceChoice
    facts: HostFacts
    model: ModelFacts
    gpus: tuple[str, ...]
    port: int
    draft: ModelFacts | None = None  # of speculative decoding
    others: tuple[ModelFacts, ...] = ()  # of the service's models after the first
    taken: tuple[HandMade, ...] = ()  # whose place it takes
    beside: bool = False  # on another port than its predecessor's, which could be kept, so that both can run

    @property
    def host(self) -> str:
        return self.facts.name


@dataclass(frozen=True, slots=True)
class Weights:
    """Files of a service on one host: of its first model, of the others, and of the draft model."""

    model: ModelFacts
    others: tuple[ModelFacts, ...]
    draft: ModelFacts | None


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Replicas of a service that fit on no host. `refusals`: why, by host."""

    choice: ServiceChoice
    keys: tuple[ReplicaKey, ...]
    refusals: Mapping[str, str]


class Placer:
    """The hosts while replicas are being placed on them."""

    def __init__(self, project: Project, seen: Seen, found: Mapping[ReplicaKey, tuple[Found, ...]]) -> None:
        self._project, self._found, self._index = project, found, seen.index
        self._cached = CachedModels(project, found, seen.listings)
        self.takeovers = Takeovers(project, seen.facts)
        self._untaken = {name: [*self.takeovers.hosts(name)] for name in project.spec.services}
        self._ledgers = {n: Ledger(f, project.spec.hosts[n].port_range) for n, f in sorted(seen.facts.items())}
        self._candidates: dict[tuple[object, str, int | None], Candidates] = {}
        self._queued: dict[str, list[Candidates]] = {}  # by host, those that have it
        self._overridden: dict[tuple[str, tuple[int, ...]], ServiceChoice] = {}
        self._mine: dict[str, dict[str, int]] = {}  # service -> host -> replicas
        self._by_host: dict[str, list[Found]] = {}
        for items in found.values():
            for item in items:
                self._by_host.setdefault(item.host, []).append(item)
        self._hopeless: dict[object, tuple[int, Mapping[str, str]]] = {}
        self.fitting = Fitting(project)
        self._written = Written(project, seen.index)
        self.placed: dict[ReplicaKey, Placed] = {}
        self.unplaced: list[Unplaced] = []

    def place(self, choices: list[ServiceChoice], unknown: frozenset[ReplicaKey] = frozenset()) -> None:
        """Places all replicas but the `unknown`, which may run where nobody can look. Those that keep what they have
        come first, so that nobody who wants more takes it from them."""
        waiting = [(choice, key) for choice in choices for key in keys_of(choice) if key not in unknown]
        for more in (False, True):
            waiting = [(choice, key) for choice, key in waiting if not self._keep(choice, key, more)]
        waiting.sort(key=self._hardest_first)
        for _, items in groupby(waiting, key=lambda item: item[0].name):
            self._find_all([*items])
        for key in sorted(self.placed):  # what no new replica took over goes to one that was there
            self._take_over(key)

    # --- keeping -----------------------------------------------------------------

    def _keep(self, choice: ServiceChoice, key: ReplicaKey, more: bool) -> bool:
        """Takes the place the replica has, if it is still a good one; with `more`, also what it needs besides."""
        here = current(self._found, key)
        if here is None or here.recorded.spec is None or here.container.status == "created":
            return False
        own, old = Own(here, self.takeovers.on(key.service, here.host)), here.recorded
        outcome = self._try(choice, key, self._ledgers[here.host], here, own)
        if isinstance(outcome, str):
            return False
        had = set(old.spec.gpus) if old.spec else set()
        if not more and (not had.issuperset(outcome.gpus) or outcome.port != old.decisions.get("port")):
            return False
        if had and len(outcome.gpus) == len(had) and set(outcome.gpus) != had:
            return False  # whoever else wants these may keep them
        self._take(outcome)
        return True

    # --- finding -----------------------------------------------------------------

    def _find_all(self, items: list[tuple[ServiceChoice, ReplicaKey]]) -> None:
        """Replicas of one service. What refused one refuses the next, unless each has a list of GPUs of its own."""
        refused: set[str] = set()
        homeless = [key for _, key in items] if self._is_hopeless(items[0][0]) else []
        for choice, key in items if not homeless else ():
            if has_own_lists(choice):
                refused = set()
            elif homeless:
                homeless.append(key)
                continue
            if not self._find(choice, key, refused):
                homeless.append(key)
                if has_own_lists(choice):
                    self._report(choice, [homeless.pop()])
        if homeless:
            self._report(items[0][0], homeless)

    def _find(self, choice: ServiceChoice, key: ReplicaKey, refused: set[str]) -> bool:
        outcomes: list[Placed] = []

        def fits(ledger: Ledger) -> bool:
            outcome = self._try(choice, key, ledger) if ledger.name not in refused else "refused"
            if isinstance(outcome, Placed):
                outcomes.append(outcome)
                return True
            refused.add(ledger.name)
            return False

        here = current(self._found, key)
        if here is None or not fits(self._ledgers[here.host]):
            taking_over = self._in_place_of(choice, key)
            if taking_over is not None:
                outcomes.append(taking_over)
            else:
                self._queue(choice, key).first(self._mine.get(choice.name, {}), fits)
        if outcomes:
            self._take(outcomes[0])
            self._take_over(key)
        return bool(outcomes)

    def _take_over(self, key: ReplicaKey) -> None:
        """It takes the place of the hand-made containers of its host, if no other replica does."""
        placed, untaken = self.placed[key], self._untaken[key.service]
        if placed.host in untaken:
            untaken.remove(placed.host)
            self.placed[key] = replace(placed, taken=self.takeovers.on(key.service, placed.host))

    def _in_place_of(self, choice: ServiceChoice, key: ReplicaKey) -> Placed | None:
        """Where the service takes over from hand-made containers: beside them, or else on what they hold."""
        for name in self._untaken[choice.name]:
            taken = self.takeovers.on(choice.name, name)
            for own in (NOTHING, Own(taken=taken)):
                outcome = self._try(choice, key, self._ledgers[name], own=own)
                if isinstance(outcome, Placed):
                    return outcome
        return None

    def _queue(self, choice: ServiceChoice, key: ReplicaKey) -> Candidates:
        placement, wanted = choice.service.placement, gpus_wanted(choice, key.index)
        kind = (selector_key(placement.hosts), placement.strategy, wanted)
        if kind not in self._candidates:
            names = [name for name in self._index.named(placement.hosts) if name in self._ledgers]
            ledgers = (self._ledgers[name] for name in names)
            self._candidates[kind] = Candidates(ledgers, placement.strategy == "spread", wanted)
            for name in names:
                self._queued.setdefault(name, []).append(self._candidates[kind])
        return self._candidates[kind]

    def _try(
        self, choice: ServiceChoice, key: ReplicaKey, ledger: Ledger, here: Found | None = None, own: Own = NOTHING
    ) -> Placed | str:
        """A place on this host, or why there is none. `here`: the container whose place is to be kept."""
        choice = self._on(choice, ledger.facts)
        refusal = self._refusal(choice, ledger)
        weights = self._weights(choice, key, ledger.facts) if refusal is None else refusal
        if isinstance(weights, str):
            return weights
        kept = here.recorded if here is not None else None
        request = GpuRequest(choice, key.index, ledger.facts, ledger.busy(own), kept, own.gpus)
        gpus = self.fitting.gpus(request, lambda: here is not None and not edits_since(self._written, choice, here))
        if isinstance(gpus, str):
            return gpus
        port = _port(choice, ledger, here, own)
        if isinstance(port, str):
            return port
        return Placed(key, choice, ledger.facts, weights.model, gpus, port, weights.draft, weights.others)

    def _on(self, choice: ServiceChoice, facts: HostFacts) -> ServiceChoice:
        """The service as it is on this host."""
        which = overrides_of(self._project, choice, facts) if choice.service.overrides else ()
        if not which:
            return choice
        key = (choice.name, which)
        if key not in self._overridden:
            service = self._project.with_backend(choice.name, choice.backend_name, which)
            self._overridden[key] = replace(choice, service=service, overrides=which)
        return self._overridden[key]

    def _weights(self, choice: ServiceChoice, key: ReplicaKey, facts: HostFacts) -> Weights | str:
        """The models, and the draft model of speculative decoding; or which of them the host lacks."""
        found = []
        drafts = (choice.draft,) if choice.draft is not None else ()
        for model in (choice.model, *(model for model, _ in choice.others), *drafts):
            located = self._cached.locate(choice, model, key, facts) if model.is_fetched else locate_model(model, facts)
            if isinstance(located, Diagnostic):
                return located.message
            found.append(located)
        draft = found.pop() if drafts else None
        return Weights(found[0], tuple(found[1:]), draft)

    def _refusal(self, choice: ServiceChoice, ledger: Ledger) -> str | None:
        if ledger.name not in self._index.members(choice.service.placement.hosts):
            return "is not selected by `placement.hosts`"
        if self._project.spec.hosts[ledger.name].state == "drain":
            return "is being drained"
        limit = choice.service.placement.max_per_host
        if limit is not None and ledger.replicas[choice.name] >= limit:
            return f"has {limit} replicas of `{choice.name}` already (`max_per_host`)"
        return None

    def other_port(self, placed: Placed) -> Placed | None:
        """The same place with another port, so that a successor can start beside what runs there; None where the
        spec fixes the port or none is free."""
        if placed.choice.service.port.number is not None:
            return None
        held = {
            claim[2]
            for item in self._by_host.get(placed.host, ())
            if item.recorded.key != placed.key or item.is_verified
            for claim in claims_held(item.facts, item.container)
        }
        ledger = self._ledgers[placed.host]
        port = next((port for port in ledger.pickable_ports() if str(port) not in held), None)
        if port is None:
            return None
        ledger.change_port(placed.port, port)
        self.placed[placed.key] = replace(placed, port=port, beside=True)
        return self.placed[placed.key]

    # --- bookkeeping -----------------------------------------------------------------

    def _take(self, placed: Placed) -> None:
        service = placed.key.service
        self._ledgers[placed.host].take(placed.key, placed.gpus, placed.port)
        mine = self._mine.setdefault(service, {})
        mine[placed.host] = mine.get(placed.host, 0) + 1
        for candidates in self._queued.get(placed.host, ()):
            candidates.changed(placed.host)
        self.placed[placed.key] = placed

    def _hardest_first(self, item: tuple[ServiceChoice, ReplicaKey]) -> tuple[int, int, int, str, int]:
        choice, key = item
        pinned = not isinstance(choice.service.placement.gpus, tuple)
        hosts = len(self._index.named(choice.service.placement.hosts))
        return (pinned, -(gpus_wanted(choice, 0) or 0), hosts, key.service, key.index)

    def _is_hopeless(self, choice: ServiceChoice) -> bool:
        """No host could give the same to another service that had nothing yet either: hosts only fill up."""
        return wish_of(choice) in self._hopeless and not self._untaken[choice.name] and choice.name not in self._mine

    def _report(self, choice: ServiceChoice, keys: list[ReplicaKey]) -> None:
        """Why each host refused; the same as for a service with the same wish, if nobody was placed since."""
        wish, now = wish_of(choice), len(self.placed)
        is_usual = wish is not None and choice.name not in self._mine and not self._untaken[choice.name]
        then, refusals = self._hopeless.get(wish, (-1, {})) if is_usual else (-1, {})
        if then != now:
            refusals = {name: self._why_not(choice, keys[0], name) for name in self._project.spec.hosts}
        if is_usual:
            self._hopeless[wish] = now, refusals
        self.unplaced.append(Unplaced(choice, tuple(keys), refusals))

    def _why_not(self, choice: ServiceChoice, key: ReplicaKey, name: str) -> str:
        if name not in self._index.members(choice.service.placement.hosts):
            return "is not selected by `placement.hosts`"
        if name not in self._ledgers:
            return DARK.get(self._project.spec.hosts[name].state, "is unreachable")
        outcome = self._try(choice, key, self._ledgers[name])
        assert isinstance(outcome, str), "hosts only fill up"
        return outcome

    def cards_of(self, name: str) -> tuple[str, int]:
        """Which GPUs a host has, and how many of them nobody has."""
        ledger = self._ledgers.get(name)
        if ledger is None:
            return "", 0
        return ", ".join(sorted({gpu.name for gpu in ledger.facts.gpus})), ledger.free

    def fixes_on(self, choice: ServiceChoice, name: str) -> tuple[Fix, ...]:
        """Options with which a replica would fit into the memory of GPUs of a host: those that nobody has, or else all
        of them, since others may give way."""
        ledger = self._ledgers.get(name)
        if ledger is None:
            return ()
        busy, every = ledger.busy(), list(ledger.facts.gpus)
        found = self.fitting.fixes(choice, ledger.facts, [gpu for gpu in every if gpu.uuid not in busy])
        return found or self.fitting.fixes(choice, ledger.facts, every)

    def would_take(self, project: Project, choice: ServiceChoice, key: ReplicaKey, name: str) -> bool:
        """A host, as it is after all were placed, were the service as in that project."""
        other = copy(self)
        other._project, other.fitting, other._overridden = project, Fitting(project), {}
        return name in self._ledgers and isinstance(other._try(choice, key, self._ledgers[name]), Placed)


def wish_of(choice: ServiceChoice) -> object:
    """All that decides which hosts a service's first replica can have; None where services cannot be compared."""
    service = choice.service
    placement, speculative = service.placement, service.options.speculative
    if service.overrides or has_own_lists(choice):
        return None
    models = (service.model, *(entry.model for entry in service.models), speculative and speculative.model)
    cards = (placement.gpus, str(placement.gpu), gpus_wanted(choice, 0), gpus_asked(choice, 0))
    started = (service.container.command, service.container.entrypoint)
    server = (choice.backend_name, service.version, service.image, service.args, started, repr(service.options))
    return (selector_key(placement.hosts), models, cards, server, service.port.number, service.port.on_conflict)


def _port(choice: ServiceChoice, ledger: Ledger, here: Found | None, own: Own) -> int | str:
    """The replica's port on this host, or why there is none."""
    wanted = choice.service.port
    kept = _port_to_keep(choice, here) if here is not None else None
    if kept is not None and ledger.port_holder(kept, own) is None:
        return kept
    if wanted.number is not None:
        holder = ledger.port_holder(wanted.number, own)
        if holder is None or wanted.on_conflict == "fail":
            return wanted.number if holder is None else f"port {wanted.number} is held by {holder}"
    port = next(ledger.pickable_ports(), None)
    return f"no port of {ledger.allowed.start}-{ledger.allowed.stop - 1} is free" if port is None else port


def _port_to_keep(choice: ServiceChoice, found: Found) -> int | None:
    """The port it has, when that was picked for what the spec still asks."""
    decided, asked = found.recorded.decisions.get("port"), found.recorded.decisions.get("port_asked")
    wanted = choice.service.port
    if not isinstance(decided, int) or asked != wanted.number:
        return None
    return decided if wanted.number is None or wanted.on_conflict == "next" else None
