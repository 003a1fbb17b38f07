"""Which host, GPUs and port each replica gets. Sticky: what runs stays where it is while that is still allowed.

Every host that is not taken says why. Greedy and deterministic; a GPU or port is never given twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from deployer.errors import Diagnostic
from deployer.planning.choice import ServiceChoice, keys_of
from deployer.planning.claims import Claim, ForeignClaims, claims_held, foreign_claims, port_claim
from deployer.planning.gpus import free_gpus, gpus_wanted
from deployer.planning.hosts import hosts_named
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

    @property
    def host(self) -> str:
        return self.facts.name


@dataclass(slots=True)
class Placer:
    """The hosts while replicas are being placed on them; what was given out is in `taken`."""

    project: Project
    facts: Mapping[str, HostFacts]
    found: Mapping[ReplicaKey, tuple[Found, ...]]
    taken: dict[Claim, ReplicaKey] = field(default_factory=dict)
    count: dict[tuple[str, str], int] = field(default_factory=dict)  # (service or "", host) -> replicas
    foreign: dict[str, ForeignClaims] = field(default_factory=dict)
    placed: dict[ReplicaKey, Placed] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)

    def place(self, choices: list[ServiceChoice], unknown: frozenset[ReplicaKey] = frozenset()) -> None:
        """Places all replicas but the `unknown`, which may run where nobody can look."""
        self.foreign = {name: foreign_claims(facts) for name, facts in self.facts.items()}
        waiting = [(choice, key) for choice in choices for key in keys_of(choice) if key not in unknown]
        homeless = [(choice, key) for choice, key in waiting if not self._keep(choice, key)]
        for choice, key in sorted(homeless, key=self._hardest_first):
            self._find(choice, key)

    # --- keeping -----------------------------------------------------------------

    def _keep(self, choice: ServiceChoice, key: ReplicaKey) -> bool:
        """Takes the place the replica has, if it is still a good one."""
        here = current(self.found, key)
        if here is None or here.recorded.spec is None or here.container.status == "created":
            return False
        facts = self.facts[here.host]
        if self._refusal(choice, facts) is not None:
            return False
        spec = here.recorded.spec
        weights = self._weights(choice, facts)
        gpus = free_gpus(self.project, choice, facts, self._busy(facts), spec.gpus, key.index)
        port = self._port(choice, facts, _port_to_keep(choice, here))
        if isinstance(weights, str) or isinstance(gpus, str) or isinstance(port, str):
            return False
        if set(gpus) != set(spec.gpus) and len(gpus) == len(spec.gpus) and spec.gpus:
            return False  # another set of the same size would be a move for nothing
        self._take(Placed(key, choice, facts, weights[0], gpus, port, weights[1]))
        return True

    # --- finding -----------------------------------------------------------------

    def _find(self, choice: ServiceChoice, key: ReplicaKey) -> None:
        refusals: dict[str, str] = {}
        for facts in self._candidates(choice, refusals):
            outcome = self._try(choice, key, facts)
            if isinstance(outcome, Placed):
                self._take(outcome)
                return
            refusals[facts.name] = outcome
        self.problems.append(self._no_placement(choice, key, refusals))

    def _try(self, choice: ServiceChoice, key: ReplicaKey, facts: HostFacts) -> Placed | str:
        refusal = self._refusal(choice, facts)
        if refusal is not None:
            return refusal
        weights = self._weights(choice, facts)
        if isinstance(weights, str):
            return weights
        gpus = free_gpus(self.project, choice, facts, self._busy(facts), (), key.index)
        if isinstance(gpus, str):
            return gpus
        port = self._port(choice, facts, None)
        return port if isinstance(port, str) else Placed(key, choice, facts, weights[0], gpus, port, weights[1])

    def _weights(self, choice: ServiceChoice, facts: HostFacts) -> tuple[ModelFacts, ModelFacts | None] | str:
        """The model, and the draft model of speculative decoding; or which of them the host lacks."""
        found = []
        for model in (choice.model, choice.draft):
            located = locate_model(model, facts) if model is not None else None
            if isinstance(located, Diagnostic):
                return located.message
            found.append(located)
        assert found[0] is not None, "a choice has a model"
        return found[0], found[1]

    def _candidates(self, choice: ServiceChoice, refusals: dict[str, str]) -> Iterator[HostFacts]:
        """The hosts in the order of the strategy; hosts that cannot be meant say why in `refusals`."""
        meant = set(hosts_named(self.project.spec, choice.service.placement.hosts))
        hosts = []
        for name in sorted(self.project.spec.hosts):
            if name not in meant:
                refusals[name] = "is not selected by `placement.hosts`"
            elif name not in self.facts:
                refusals[name] = DARK.get(self.project.spec.hosts[name].state, "is unreachable")
            else:
                hosts.append(self.facts[name])
        sign = 1 if choice.service.placement.strategy == "spread" else -1

        def order(facts: HostFacts) -> tuple[bool, int, int, int, str]:
            wanted = gpus_wanted(choice)
            free = 0 if wanted == 0 else len(facts.gpus) - len(self._busy(facts))
            no_gpu = wanted is None and free <= 0
            mine, all_ = self.count.get((choice.name, facts.name), 0), self.count.get(("", facts.name), 0)
            return (no_gpu, sign * mine, sign * all_, -sign * free, facts.name)

        yield from sorted(hosts, key=order)

    def _refusal(self, choice: ServiceChoice, facts: HostFacts) -> str | None:
        if facts.name not in hosts_named(self.project.spec, choice.service.placement.hosts):
            return "is not selected by `placement.hosts`"
        if self.project.spec.hosts[facts.name].state == "drain":
            return "is being drained"
        limit = choice.service.placement.max_per_host
        if limit is not None and self.count.get((choice.name, facts.name), 0) >= limit:
            return f"has {limit} replicas of `{choice.name}` already (`max_per_host`)"
        return None

    def other_port(self, placed: Placed) -> Placed | None:
        """The same place with another port, so that a successor can start beside what runs there; None where the
        spec fixes the port or none is free."""
        if placed.choice.service.port.number is not None:
            return None
        held = {
            claim
            for key, items in self.found.items()
            for item in items
            if item.host == placed.host and (key != placed.key or item.is_verified)
            for claim in claims_held(item.facts, item.container)
        }
        first, last = placed.facts.ephemeral_ports
        for port in self.project.spec.hosts[placed.host].port_range:
            taken = port_claim(placed.host, port) in held or self._holder(placed.facts, port) is not None
            if not taken and not first <= port <= last:
                del self.taken[port_claim(placed.host, placed.port)]
                other = replace(placed, port=port)
                self._take_claims(other)
                return other
        return None

    # --- ports, bookkeeping --------------------------------------------------------

    def _port(self, choice: ServiceChoice, facts: HostFacts, kept: int | None) -> int | str:
        """The replica's port on this host, or why there is none."""
        wanted = choice.service.port
        if kept is not None and self._holder(facts, kept) is None:
            return kept
        holder = None if wanted.number is None else self._holder(facts, wanted.number)
        if wanted.number is not None and (holder is None or wanted.on_conflict == "fail"):
            return wanted.number if holder is None else f"port {wanted.number} is held by {holder}"
        allowed = self.project.spec.hosts[facts.name].port_range
        first, last = facts.ephemeral_ports
        for port in allowed:
            if not first <= port <= last and self._holder(facts, port) is None:
                return port
        return f"no port of {allowed.start}-{allowed.stop - 1} is free"

    def _holder(self, facts: HostFacts, port: int) -> str | None:
        claim = port_claim(facts.name, port)
        key = self.taken.get(claim)
        return f"replica `{key}`" if key is not None else self.foreign[facts.name].holder(claim)

    def _busy(self, facts: HostFacts) -> dict[str, str]:
        """GPU UUID -> who has it."""
        busy = {uuid: who for (_, kind, uuid), who in self.foreign[facts.name].holders.items() if kind == "gpu"}
        mine = {c[2]: f"replica `{key}`" for c, key in self.taken.items() if c[0] == facts.name and c[1] == "gpu"}
        return busy | mine

    def _take_claims(self, placed: Placed) -> None:
        for uuid in placed.gpus:
            self.taken[placed.host, "gpu", uuid] = placed.key
        self.taken[port_claim(placed.host, placed.port)] = placed.key
        self.placed[placed.key] = placed

    def _take(self, placed: Placed) -> None:
        self._take_claims(placed)
        for name in (placed.key.service, ""):
            self.count[name, placed.host] = self.count.get((name, placed.host), 0) + 1

    def _hardest_first(self, item: tuple[ServiceChoice, ReplicaKey]) -> tuple[int, int, int, ReplicaKey]:
        choice, key = item
        pinned = not isinstance(choice.service.placement.gpus, tuple)
        hosts = len(hosts_named(self.project.spec, choice.service.placement.hosts))
        return (pinned, -(gpus_wanted(choice) or 0), hosts, key)

    def _no_placement(self, choice: ServiceChoice, key: ReplicaKey, refusals: dict[str, str]) -> Diagnostic:
        width = max(map(len, refusals), default=0)
        return Diagnostic(
            "no-placement",
            f"replica `{key}` fits on no host",
            self.project.where("services", choice.name),
            evidence=tuple(f"{host:{width}}  {why}" for host, why in sorted(refusals.items())),
            hint=_hint(choice, refusals),
        )


def _port_to_keep(choice: ServiceChoice, found: Found) -> int | None:
    """The port it has, when that was picked for what the spec still asks."""
    decided, asked = found.recorded.decisions.get("port"), found.recorded.decisions.get("port_asked")
    wanted = choice.service.port
    if not isinstance(decided, int) or asked != wanted.number:
        return None
    return decided if wanted.number is None or wanted.on_conflict == "next" else None


def _hint(choice: ServiceChoice, refusals: Mapping[str, str]) -> str:
    reasons = " ".join(refusals.values())
    if not refusals:
        return "add a host to `hosts`"
    if "port " in reasons:
        return "stop what holds the port, choose another `port`, or set `port.on_conflict: next`"
    if "not there" in reasons or "not on host" in reasons:
        return "put the model on the hosts, or correct its `source`"
    if "GPU" in reasons:
        return "free a GPU, lower `replicas` or `tensor_parallel`, or add a host"
    return "change `placement`, lower `replicas`, or add a host"
