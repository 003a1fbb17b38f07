"""What a host has for a replica: its GPUs and port while replicas are being placed, or why it cannot take one."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING

from deployer.dataclass import replace
from deployer.errors import Diagnostic
from deployer.planning.cached import CachedModels
from deployer.planning.choice import Seen, ServiceChoice
from deployer.planning.decisions import Written, edits_since
from deployer.planning.gpus import GpuRequest, free_gpus, overrides_of
from deployer.planning.host_memory import memory_of_hosts
from deployer.planning.ledger import Ledger
from deployer.planning.models import locate_model
from deployer.planning.placed import Placed, Weights
from deployer.planning.port_choice import Wish, port_on
from deployer.planning.replicas import Found
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.names import ReplicaKey

if TYPE_CHECKING:
    from deployer.planning.estimate_fixes import Fix
    from deployer.planning.fitting import Fitting


class Places:
    """The hosts that gave facts, each with what is given out on it."""

    def __init__(self, project: Project, seen: Seen, found: Mapping[ReplicaKey, tuple[Found, ...]]) -> None:
        self._project, self._index = project, seen.index
        self._cached = CachedModels(project, found, seen.listings)
        self._overridden: dict[tuple[str, tuple[int, ...]], ServiceChoice] = {}
        self._written = Written(project, seen.index)
        hosts = ((facts, project.spec.hosts[name]) for name, facts in sorted(seen.facts.items()))
        self.ledgers = {f.name: Ledger(f, host.port_range, host.kept_gpu_memory) for f, host in hosts}
        self._memory = memory_of_hosts(project.spec, seen.facts, found)

    @cached_property
    def fitting(self) -> Fitting:
        """Imported late: where nobody has GPUs, nothing is estimated."""
        from deployer.planning.fitting import Fitting

        return Fitting(self._project)

    def on(self, name: str, wish: Wish) -> Placed | str:
        """A place on this host, or why there is none."""
        ledger = self.ledgers[name]
        choice = self._as_on(wish.choice, ledger.facts)
        wish = wish if choice is wish.choice else replace(wish, choice=choice)
        refusal = self._refusal(choice, ledger)
        weights = self._weights(choice, wish.key, ledger.facts) if refusal is None else refusal
        if isinstance(weights, str):
            return weights
        shares = self._shares(wish, ledger.facts)
        if isinstance(shares, str):
            return shares
        gpus = self._gpus(wish, ledger, shares)
        if isinstance(gpus, str):
            return gpus
        port = port_on(wish, ledger)
        if isinstance(port, str):
            return port
        placed = Placed(wish.key, choice, ledger.facts, weights.model, gpus, port, weights.draft, weights.others)
        placed = self._sharing(placed, shares) if gpus and all(uuid in shares for uuid in gpus) else placed
        return self._with_memory(placed, wish) if name in self._memory else placed

    def take(self, placed: Placed) -> None:
        self.ledgers[placed.host].take(placed.key, placed.gpus, placed.port, placed.share)
        if placed.memory is not None:
            self._memory[placed.host].take(placed.key, placed.memory)

    def give_back(self, placed: Placed) -> None:
        self.ledgers[placed.host].give_back(placed.key, placed.gpus, placed.port, placed.share)
        if placed.memory is not None:
            self._memory[placed.host].give_back(placed.key)

    def _with_memory(self, placed: Placed, wish: Wish) -> Placed | str:
        """With what it takes of the host's own memory; or why there is too little. What runs, unedited, stays."""
        from deployer.planning.host_memory_needs import host_memory_of

        choice, memory = placed.choice, self._memory[placed.host]
        service = self._project.with_backend(choice.name, choice.backend_name, choice.overrides)
        size = host_memory_of(choice, service, placed.facts, len(placed.gpus))
        if size is None:
            return placed
        claim = memory.claim(placed.key, size)
        is_believed = wish.here is not None and not self._is_edited(replace(wish, choice=choice), wish.here)
        return (None if is_believed else memory.refusal(claim)) or replace(placed, memory=claim)

    def _gpus(self, wish: Wish, ledger: Ledger, shares: Mapping[str, int]) -> tuple[str, ...] | str:
        here, choice = wish.here, wish.choice
        busy = ledger.busy(wish.own, shares) | dict.fromkeys(wish.without, "nobody, and is left to others")
        request = GpuRequest(
            choice,
            wish.key.index,
            ledger.facts,
            busy,
            here.recorded if here is not None else None,
            wish.own.gpus,
            left={uuid: ledger.left(uuid) for uuid in shares},
        )
        if choice.service.placement.gpus == "none":
            return free_gpus(self._project, request)
        return self.fitting.gpus(request, lambda: here is not None and not self._is_edited(wish, here))

    def _shares(self, wish: Wish, facts: HostFacts) -> Mapping[str, int] | str:
        """Of each GPU, where it shares: what it has of its own ones, while nobody edited it."""
        if not wish.choice.service.placement.share:
            return {}
        shares, here = self.fitting.shares(wish.choice, facts), wish.here
        share = here.container.gpu_share if here is not None else None
        if isinstance(shares, str) or here is None or share is None or self._is_edited(wish, here):
            return shares
        return {**shares, **{uuid: share for uuid in here.container.gpus if uuid in shares}}

    def _is_edited(self, wish: Wish, here: Found) -> bool:
        return bool(edits_since(self._written, wish.choice, here))

    def _sharing(self, placed: Placed, shares: Mapping[str, int]) -> Placed:
        share = max(shares[uuid] for uuid in placed.gpus)
        cache = self.fitting.cache_memory(placed.choice, placed.facts, placed.gpus, share)
        return replace(placed, share=share, cache=cache)

    def _as_on(self, choice: ServiceChoice, facts: HostFacts) -> ServiceChoice:
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

    def cards_of(self, name: str) -> tuple[str, int]:
        """Which GPUs a host has, and how many of them nobody has."""
        ledger = self.ledgers.get(name)
        if ledger is None:
            return "", 0
        return ", ".join(sorted({gpu.name for gpu in ledger.facts.gpus})), ledger.free

    def fixes_on(self, choice: ServiceChoice, name: str) -> tuple[Fix, ...]:
        """Options with which a replica would fit into the memory of GPUs of a host: those that nobody has, or else all
        of them, since others may give way."""
        ledger = self.ledgers.get(name)
        if ledger is None:
            return ()
        busy, every = ledger.busy(), list(ledger.facts.gpus)
        found = self.fitting.fixes(choice, ledger.facts, [gpu for gpu in every if gpu.uuid not in busy])
        return found or self.fitting.fixes(choice, ledger.facts, every) or self._shorter(choice, name)

    def _shorter(self, choice: ServiceChoice, name: str) -> tuple[Fix, ...]:
        """Where the host's own memory is what lacks, a shorter context."""
        if name not in self._memory:
            return ()
        from deployer.planning.host_memory_needs import shorter_context

        service = self._project.with_backend(choice.name, choice.backend_name, choice.overrides)
        room = self._memory[name].left()
        tokens = shorter_context(choice, service, self.ledgers[name].facts, room)
        return ((("context_length", tokens),),) if tokens is not None else ()

    def would_take(self, project: Project, choice: ServiceChoice, key: ReplicaKey, name: str) -> bool:
        """A host, as it is after all were placed, were the service as in that project."""
        other = copy(self)
        other._project, other._overridden = project, {}
        other.__dict__.pop("fitting", None)
        return name in self.ledgers and isinstance(other.on(name, Wish(choice, key)), Placed)
