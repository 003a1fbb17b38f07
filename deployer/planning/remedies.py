"""What to change of a service so that its replicas are placed: each change was tried by placing everything anew.

Pure. A bounded number of changes is tried, the nearest first; on large fleets fewer, since each costs a placement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, Severity
from deployer.planning.choice import Seen, ServiceChoice
from deployer.planning.estimate_fixes import one_of
from deployer.planning.placed import Unplaced
from deployer.planning.placement import Placer
from deployer.planning.refusals import no_placement
from deployer.planning.remedy_changes import ServiceChange, changes_on, general_changes
from deployer.planning.render_options import check_options
from deployer.planning.replicas import Found
from deployer.spec.project import Project
from deployer.values.names import ReplicaKey

MOST_TRIED = 24  # changes of a plan
MOST_PLACED = 2500  # hosts and replicas that are looked at, over all of them
KINDS_OF_HOSTS = 6  # for which changes of their own are looked for


@dataclass(slots=True)
class Trials:
    """Places a project anew with one service changed."""

    project: Project
    seen: Seen
    found: Mapping[ReplicaKey, tuple[Found, ...]]
    choices: Mapping[str, ServiceChoice]
    unknown: frozenset[ReplicaKey]
    left: int = field(init=False)
    _known: dict[tuple[str, ServiceChange], Mapping[ReplicaKey, str] | None] = field(init=False)

    def __post_init__(self) -> None:
        replicas = sum(choice.service.replicas for choice in self.choices.values())
        self.left = min(MOST_TRIED, MOST_PLACED // (1 + len(self.seen.facts) + replicas))
        self._known = {}

    def hosts_with(self, name: str, change: ServiceChange) -> Mapping[ReplicaKey, str] | None:
        """Where the replicas of the service would be; None where it cannot be changed so, or nobody tried."""
        key = (name, change)
        if key not in self._known:
            if self.left <= 0:
                return None
            self.left -= 1
            self._known[key] = self._placed(name, change)
        return self._known[key]

    def changed(self, name: str, change: ServiceChange) -> tuple[Project, ServiceChoice]:
        old = self.choices[name]
        service = change.applied(self.project.with_backend(name, old.backend_name))
        return self.project.with_service(name, old.backend_name, service), replace(old, service=service)

    def _placed(self, name: str, change: ServiceChange) -> Mapping[ReplicaKey, str] | None:
        project, choice = self.changed(name, change)
        if any(p.severity is Severity.ERROR for p in check_options(project, name, choice.backend)):
            return None
        placer = Placer(project, self.seen, self.found)
        changed = {**self.choices, name: choice}
        placer.place([one for one in changed.values() if one.is_running], self.unknown)
        return {key: placed.host for key, placed in placer.placed.items()}


def explained(trials: Trials, placer: Placer) -> Iterator[Diagnostic]:
    """Of each service whose replicas fit nowhere, why not, and what would place them without driving out others."""
    stay = frozenset(placer.placed)
    for one in placer.unplaced:
        yield Search(trials, placer, one, stay).explained()


@dataclass(slots=True)
class Search:
    """What helps one service. `stay`: replicas that have a place, and keep one. `fits`: changes that help, each with a
    host that takes a replica then; empty: people get less than they want."""

    trials: Trials
    placer: Placer
    one: Unplaced
    stay: frozenset[ReplicaKey]
    fits: dict[ServiceChange, str] = field(init=False)

    def __post_init__(self) -> None:
        self.fits = {}

    def explained(self) -> Diagnostic:
        one, refusals = self.one, dict(self.one.refusals)
        where = self.trials.project.where("services", one.choice.name)
        if one.choice.service.overrides:
            return no_placement(one.keys, where, refusals)
        for hosts in self._kinds():
            offered = [*changes_on(self.placer, one.choice, hosts[0])]
            good = [change for change in offered if self._helps(change, hosts) and self._is_for(change, hosts)]
            for host in hosts if good else ():
                refusals[host] += f"; it fits with {one_of([change.text for change in good])}"
        placed = sum(key.service == one.choice.name for key in self.stay)
        for change in general_changes(one.choice, placed, [*refusals.values()]):
            self._helps(change, () if change.asks_for_less else [*refusals])
        return no_placement(one.keys, where, refusals, [(c.setting, self.fits[c]) for c in _nearest(self.fits)])

    def _kinds(self) -> list[list[str]]:
        """Hosts that refused for the same reason, with GPUs of the same kind; those without GPUs last."""
        kinds: dict[object, list[str]] = {}
        for host, why in sorted(self.one.refusals.items()):
            kinds.setdefault((why.partition(" (")[0], self.placer.places.cards_of(host)), []).append(host)
        return sorted(kinds.values(), key=lambda hosts: not self.placer.places.cards_of(hosts[0])[0])[:KINDS_OF_HOSTS]

    def _helps(self, change: ServiceChange, hosts: Sequence[str]) -> bool:
        """All of the service's replicas are placed then, and nobody loses a place. `hosts`: that are to be named."""
        placed = self.trials.hosts_with(self.one.choice.name, change)
        wanted = self.stay if change.is_scaling else self.stay.union(self.one.keys)
        if placed is None or not wanted <= placed.keys():
            return False
        here = sorted({host for key, host in placed.items() if key.service == self.one.choice.name})
        mine = [host for host in here if host in hosts] or here
        self.fits.setdefault(change, mine[0] if mine and hosts else "")
        return True

    def _is_for(self, change: ServiceChange, hosts: Sequence[str]) -> bool:
        """One of these hosts takes a replica then."""
        placed = self.trials.hosts_with(self.one.choice.name, change) or {}
        if any(placed.get(key) in hosts for key in self.one.keys):
            return True
        project, choice = self.trials.changed(self.one.choice.name, change)
        return self.placer.places.would_take(project, choice, self.one.keys[0], hosts[0])


def _nearest(changes: Iterable[ServiceChange]) -> list[ServiceChange]:
    """One of each kind: of numbers the largest, which takes least away."""
    found: dict[object, ServiceChange] = {}
    for change in changes:
        other = found.setdefault(change.paths, change)
        if change.size is not None and other.size is not None and change.size > other.size:
            found[change.paths] = change
    return list(found.values())
