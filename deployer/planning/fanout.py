"""Which host gets a model from which: its source is read once, and hosts pass on what they have. Pure.

Hosts that lack the same files stand in a row: the first one reads the source, and each other one gets from the one
before it what that one has so far. So every link carries the files once in each direction, however many hosts there
are. Hosts that have them already stand at the beginning, each of a row of its own. Of hosts whose cache is one folder
on a file server one stands there for all of them, and the others look once it is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import chain

from deployer.dataclass import dataclass, replace
from deployer.planning.cached import cache_of, is_whole
from deployer.planning.desired import DesiredReplica
from deployer.planning.presence import ACTED_ON
from deployer.planning.shared_caches import shared_cache, together
from deployer.spec.language import Host
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.plan import Step
from deployer.values.transfers import FetchWeights, ServeWeights
from deployer.values.weights import Manifest

NEAREST = 2  # hosts before one in its row that it asks, besides the first of the row


def fanned_out(
    project: Project, facts: Mapping[str, HostFacts], steps: Sequence[Step], desired: Iterable[DesiredReplica]
) -> tuple[Step, ...]:
    """The steps, with who gets what from whom, and with those that serve before all others. On every host models come
    in one order, so that no two hosts wait for each other."""
    fetches = [step for step in steps if isinstance(step.operation, FetchWeights)]
    if not fetches:
        return tuple(steps)
    fan = _Fan(project, facts, _ports_given(desired))
    by_manifest: dict[str, list[Step]] = {}
    for step in fetches:
        by_manifest.setdefault(_manifest(step).id, []).append(step)
    ordered = iter([step for group in by_manifest.values() for step in fan.spread(group)])
    rest = (next(ordered) if isinstance(step.operation, FetchWeights) else step for step in steps)
    later = tuple(rest)
    return (*fan.serving, *later)


@dataclass(slots=True)
class _Fan:
    """`ahead`: by host, bytes that it fetches before."""

    project: Project
    facts: Mapping[str, HostFacts]
    ports: dict[str, set[int]]
    serving: list[Step] = field(default_factory=list)
    ahead: dict[str, int] = field(default_factory=dict)

    def spread(self, group: Sequence[Step]) -> list[Step]:
        """The fetches of one manifest, in the order of their rows, then whoever shares what those fetch."""
        firsts, later = self._apart(group)
        return [*self._rows(firsts), *later]

    def _apart(self, group: Sequence[Step]) -> tuple[list[Step], list[Step]]:
        """One fetch of each folder; what another host brings costs a host nothing."""
        by_host = {step.host: step for step in sorted(group, key=self._rank)}
        folders = {name: shared_cache(self._host(name), self.facts[name]) for name in by_host if name in self.facts}
        firsts, later = [], []
        for first, *others in together(by_host, folders):
            firsts.append(by_host[first])
            later += [_after(by_host[name], by_host[first]) for name in others]
        order = {step.id: place for place, step in enumerate(group)}
        return sorted(firsts, key=lambda s: order[s.id]), sorted(later, key=lambda s: order[s.id])

    def _rows(self, group: Sequence[Step]) -> list[Step]:
        takers = sorted((s for s in group if self._host(s.host).peers), key=self._rank)
        others = [step for step in group if not self._host(step.host).peers]
        for step in group:
            self.ahead[step.host] = self.ahead.get(step.host, 0) + (step.bytes or 0)
        if not takers:
            return others
        holders = self._holders(_manifest(takers[0]), {step.host for step in group})
        count = min(len(holders), len(takers)) or 1
        rows = [([holders[i]] if holders else [], takers[i::count]) for i in range(count)]
        spread = [self._row(head, fetches) for head, fetches in rows]
        return [*others, *(step for steps in zip_all(spread) for step in steps)]

    def _row(self, head: list[str], fetches: list[Step]) -> list[Step]:
        """Each asks the nearest before it, and the first of all where those are gone."""
        row = [*head, *(step.host for step in fetches)]
        served: dict[str, list[str]] = {}
        found = []
        for place, step in enumerate(fetches, len(head)):
            before = [host for host in reversed(row[:place]) if can_serve(self._host(host))]
            peers = tuple(dict.fromkeys((*before[:NEAREST], *before[-1:])))
            for peer in peers:
                served.setdefault(peer, []).append(step.host)
            found.append(_from(step, peers))
        manifest = _manifest(fetches[0])
        for host, to in served.items():
            self.serving.append(self._serve(host, manifest, tuple(to)))
        return found

    def _serve(self, name: str, manifest: Manifest, to: tuple[str, ...]) -> Step:
        host = self._host(name)
        operation = ServeWeights(cache_of(host), manifest, self._port(name), to)
        return Step(_serve_id(name, manifest), name, operation, why="so that its source is read once")

    def _port(self, name: str) -> int:
        """The last free one of the host's: services get the first."""
        taken = self.ports.setdefault(name, set()) | _ports_held(self.facts[name])
        span = self._host(name).port_range
        found = next((port for port in reversed(span) if port not in taken), span[-1])
        self.ports[name].add(found)
        return found

    def _holders(self, manifest: Manifest, takers: set[str]) -> list[str]:
        return [
            name
            for name, facts in sorted(self.facts.items())
            if name not in takers
            and (host := self.project.spec.hosts.get(name)) is not None
            and host.state in ACTED_ON
            and can_serve(host)
            and is_whole(manifest, host, facts)
        ]

    def _rank(self, step: Step) -> tuple[bool, bool, int, int, str]:
        """First whoever can pass it on, reaches the source itself, comes to it soonest and lacks least."""
        host = self._host(step.host)
        is_brought = isinstance(step.operation, FetchWeights) and step.operation.by == "controller"
        ahead = self.ahead.get(step.host, 0)
        return (not can_serve(host), is_brought, ahead, step.bytes or 0, step.host)

    def _host(self, name: str) -> Host:
        return self.project.spec.hosts[name]


def can_serve(host: Host) -> bool:
    """Of this machine itself nobody knows at which address others reach it."""
    return host.peers and host.connection != "local"


def zip_all(rows: Sequence[Sequence[Step]]) -> Iterator[list[Step]]:
    """Abreast: the first of every row, then the second."""
    for place in range(max(map(len, rows), default=0)):
        yield [row[place] for row in rows if place < len(row)]


def _from(step: Step, peers: tuple[str, ...]) -> Step:
    operation = step.operation
    assert isinstance(operation, FetchWeights), "only fetches are spread"
    needs = (_serve_id(peer, operation.manifest) for peer in peers)
    return replace(step, operation=replace(operation, peers=peers), needs=(*step.needs, *needs))


def _after(step: Step, first: Step) -> Step:
    operation = step.operation
    assert isinstance(operation, FetchWeights), "only fetches are spread"
    shared = replace(operation, shared_with=first.host)
    return replace(step, operation=shared, needs=(*step.needs, first.id), bytes=0)


def _serve_id(host: str, manifest: Manifest) -> str:
    return f"{host}/serve/{manifest.id}"


def _manifest(step: Step) -> Manifest:
    assert isinstance(step.operation, FetchWeights), "only fetches are spread"
    return step.operation.manifest


def _ports_given(desired: Iterable[DesiredReplica]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for replica in desired:
        ports = {replica.placed.port, *(binding.host for binding in replica.container.ports)}
        found.setdefault(replica.host, set()).update(port for port in ports if port)
    return found


def _ports_held(facts: HostFacts) -> set[int]:
    published = chain.from_iterable(container.ports for container in facts.containers)
    return {listener.port for listener in facts.listeners} | {port for _, port, _ in published}
