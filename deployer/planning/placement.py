"""Which host, GPUs and port each replica gets. Sticky: what runs stays where it is while that is still allowed.

Every host that is not taken says why. Greedy and deterministic; a GPU or port is never given twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from deployer.dataclass import replace
from deployer.planning.at_hand import AtHand
from deployer.planning.candidates import LACKS_ALL, Candidates
from deployer.planning.choice import Seen, ServiceChoice, keys_of
from deployer.planning.gpus import gpus_wanted, has_own_lists
from deployer.planning.handmade import Takeovers
from deployer.planning.hosts import selector_key
from deployer.planning.ledger import NOTHING, Ledger, Own
from deployer.planning.placed import Placed, Unplaced
from deployer.planning.places import Places
from deployer.planning.port_choice import Wish
from deployer.planning.replicas import Found, current
from deployer.planning.search import Search, Waiting
from deployer.planning.wishes import wish_of
from deployer.spec.project import Project
from deployer.values.names import ReplicaKey

DARK = {"maintenance": "is in maintenance", "lost": "is lost"}


class Placer:
    """The hosts while replicas are being placed on them."""

    def __init__(self, project: Project, seen: Seen, found: Mapping[ReplicaKey, tuple[Found, ...]]) -> None:
        self._project, self._found, self._index = project, found, seen.index
        self._at_hand = AtHand(project, seen.facts)
        self.takeovers = Takeovers(project, seen.facts)
        self._untaken = {name: [*self.takeovers.hosts(name)] for name in project.spec.services}
        self.places = Places(project, seen, found)
        self._ledgers = self.places.ledgers
        self._candidates: dict[object, Candidates] = {}
        self._queued: dict[str, list[Candidates]] = {}  # by host, those that have it
        self._mine: dict[str, dict[str, int]] = {}  # service -> host -> replicas
        self.by_host: dict[str, list[Found]] = {}
        for items in found.values():
            for item in items:
                self.by_host.setdefault(item.host, []).append(item)
        self._hopeless: dict[object, tuple[int, Mapping[str, str]]] = {}
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
        if self.unplaced:
            self._rearrange(waiting)
        for key in sorted(self.placed):  # what no new replica took over goes to one that was there
            self._take_over(key)

    # --- keeping -----------------------------------------------------------------

    def _keep(self, choice: ServiceChoice, key: ReplicaKey, more: bool) -> bool:
        """Takes the place the replica has, if it is still a good one; with `more`, also what it needs besides."""
        here = current(self._found, key)
        if here is None or here.recorded.spec is None or here.container.status == "created":
            return False
        own, old = Own(here, self.takeovers.on(key.service, here.host)), here.recorded
        outcome = self.places.on(here.host, Wish(choice, key, here, own))
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
        wish = Wish(choice, key)

        def fits(ledger: Ledger) -> bool:
            outcome = self.places.on(ledger.name, wish) if ledger.name not in refused else "refused"
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
                lacks = self._at_hand.missing(choice)
                self._queue(choice, key).first(self._mine.get(choice.name, {}), fits, lacks)
        if outcomes:
            self._take(outcomes[0])
            self._take_over(key)
        return bool(outcomes)

    def _rearrange(self, waiting: Sequence[Waiting]) -> None:
        """Where some found no place, those that were placed anew make room if that lets more of them have one."""
        anew = [self.placed[key] for _, key in waiting if key in self.placed]
        if not anew or any(choice.service.replaces for choice, _ in waiting):
            return
        for placed in anew:
            self.places.give_back(placed)
        found = Search(self.places, self._tightest).best(waiting, len(anew))
        if found is None:
            for placed in anew:
                self.places.take(placed)
            return
        for placed in anew:
            self._mine[placed.key.service][placed.host] -= 1
            del self.placed[placed.key]
        for placed in found.values():
            self._take(placed)
        self.unplaced, self._hopeless, self._candidates, self._queued = [], {}, {}, {}
        left = [item for item in waiting if item[1] not in found]
        for _, items in groupby(left, key=lambda item: item[0].name):
            self._find_all([*items])

    def _tightest(self, choice: ServiceChoice) -> list[str]:
        """The hosts that a service may be on, those with the fewest GPUs first."""
        names = (name for name in self._index.named(choice.service.placement.hosts) if name in self._ledgers)
        return sorted(names, key=lambda name: (len(self._ledgers[name].facts.gpus), name))

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
                outcome = self.places.on(name, Wish(choice, key, own=own))
                if isinstance(outcome, Placed):
                    return outcome
        return None

    def _queue(self, choice: ServiceChoice, key: ReplicaKey) -> Candidates:
        placement, wanted = choice.service.placement, gpus_wanted(choice, key.index)
        kind = (selector_key(placement.hosts), placement.strategy, wanted, placement.share)
        if kind not in self._candidates:
            names = [name for name in self._index.named(placement.hosts) if name in self._ledgers]
            ledgers = (self._ledgers[name] for name in names)
            self._candidates[kind] = Candidates(ledgers, placement.strategy == "spread", wanted, placement.share)
            for name in names:
                self._queued.setdefault(name, []).append(self._candidates[kind])
        return self._candidates[kind]

    def hosts_for(self, choice: ServiceChoice) -> list[str]:
        """Those that a service may be on: first that have its weights and image, then that have the most GPUs free."""
        lacks = self._at_hand.missing(choice)
        names = (name for name in self._index.named(choice.service.placement.hosts) if name in self._ledgers)
        return sorted(names, key=lambda name: (lacks.get(name, LACKS_ALL), -self._ledgers[name].free, name))

    def instead(self, placed: Placed, choose: Callable[[], Placed | None]) -> Placed | None:
        """Another place for a replica, chosen as if it had none; where there is none it keeps the one it has."""
        self.places.give_back(placed)
        self._mine[placed.key.service][placed.host] -= 1
        other = choose()
        self._take(other or placed)
        return other and self.placed[placed.key]

    # --- bookkeeping -----------------------------------------------------------------

    def _take(self, placed: Placed) -> None:
        service = placed.key.service
        self.places.take(placed)
        mine = self._mine.setdefault(service, {})
        mine[placed.host] = mine.get(placed.host, 0) + 1
        for candidates in self._queued.get(placed.host, ()):
            candidates.changed(placed.host)
        need = self.places.fitting.need(placed.choice, placed.facts, placed.gpus) if placed.gpus else None
        self.placed[placed.key] = placed if need is None else replace(placed, need=need)

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
        outcome = self.places.on(name, Wish(choice, key))
        assert isinstance(outcome, str), "hosts only fill up"
        return outcome
