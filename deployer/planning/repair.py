"""Which replicas `watch` brings back: those that served and do not any more. Decides nothing of when, edits nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import replace

from deployer.dataclass import dataclass
from deployer.formats.times import seconds_of
from deployer.planning.dropped import latest_record
from deployer.planning.readiness import backend_of
from deployer.planning.replicas import Found, found_replicas
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.facts import LONGEST_LEASE, HostFacts, LockFact, ObservedState
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Cause, Change, Plan

GONE = ("new", "stopped")  # reasons that are drift only for a replica that was seen to serve
SHORTEST = 10.0  # seconds between the first two attempts
SILENT_FOR = 60.0  # seconds from the first look at which a container did not serve until it counts as stuck
Start = tuple[str, str]  # a container's id, and when it was started


@dataclass(frozen=True, slots=True)
class Fleet:
    """What was seen in one look. `serving`: replicas with a container that answers."""

    down: tuple[Change, ...]
    edited: tuple[Change, ...]  # down too, but the spec asks for something that nobody has applied
    held: tuple[Change, ...]  # down too, and held since a rollback
    serving: frozenset[ReplicaKey]


def fleet(plan: Plan, observed: ObservedState, known: Collection[ReplicaKey]) -> Fleet:
    """`known`: replicas that were seen to serve before, so that one without a container was lost, and is not new."""
    found = found_replicas(observed)
    serving = frozenset(key for key, items in found.items() if any(map(_serves, items)))
    down = [change for change in plan.pending if change.key not in serving and change.action is not Action.REMOVE]
    lost = tuple(change for change in down if _is_drift(change, known))
    edited = tuple(change for change in down if change not in lost and change.key in known)
    held = tuple(c for c in plan.changes if _is_held(c) and c.key in known and c.key not in serving)
    return Fleet(lost, edited, held, serving)


def _serves(item: Found) -> bool:
    return item.container.status == "running" and item.is_verified


def _is_drift(change: Change, known: Collection[ReplicaKey]) -> bool:
    if change.cause is Cause.DRIFT:
        return True
    code = change.reasons[0].code if change.reasons else ""
    return change.cause is Cause.CHANGE and code in GONE and change.key in known


def _is_held(change: Change) -> bool:
    return change.action is Action.KEEP and bool(change.reasons) and change.reasons[0].code == "held"


def tolerant(project: Project) -> Project:
    """The same, with hosts that cannot be asked for a warning: what may run on them is left alone, and the others are
    no worse off for them."""
    spec = project.spec
    unreachable = spec.policy.unreachable.model_copy(update={"max": len(spec.hosts)})
    policy = spec.policy.model_copy(update={"unreachable": unreachable})
    return replace(project, spec=spec.model_copy(update={"policy": policy}))


def holder_of(project: str, observed: ObservedState) -> str | None:
    """Who applies to the project now, by the locks of its hosts whose lease has not run out."""
    for facts in observed.reachable.values():
        for lock in facts.locks:
            if lock.project == project and _holds(lock, seconds_of(facts.time)):
                return lock.holder
    return None


def _holds(lock: LockFact, now: int | None) -> bool:
    """Only what an honest holder promises is believed: clocks are set. Whoever takes the lock goes by uptime."""
    end = seconds_of(lock.expires)
    return now is not None and end is not None and 0 < end - now <= LONGEST_LEASE


def recorded_apply(spec: DeploySpec, observed: ObservedState) -> str | None:
    """Which apply wrote down last where the project runs; empty where none did, None where a host that cannot be asked
    may know."""
    latest = latest_record(spec, observed.reachable)
    if latest is not None:
        return latest.apply
    return None if observed.unreachable else ""


def may_still_load(spec: DeploySpec, item: Found) -> bool:
    """It was started so lately, by its host's clock, that it may have its model still to load."""
    now, started = seconds_of(item.facts.time), seconds_of(item.container.started_at)
    service, backend = spec.services.get(item.recorded.key.service), backend_of(spec, item)
    if now is None or started is None or service is None or backend is None:
        return True
    wanted = service.health.ready_timeout
    return now - started < (backend.ready_timeout if wanted is None else wanted)


def with_unresponsive(observed: ObservedState, stuck: Set[Start]) -> ObservedState:
    """The same with those containers said to be unresponsive, until they were started anew."""
    if not stuck:
        return observed
    hosts = {n: _marked(h, stuck) if isinstance(h, HostFacts) else h for n, h in observed.hosts.items()}
    return ObservedState(hosts)


def _marked(facts: HostFacts, stuck: Set[Start]) -> HostFacts:
    containers = tuple(
        replace(c, status="unresponsive") if c.status == "running" and (c.id, c.started_at) in stuck else c
        for c in facts.containers
    )
    return replace(facts, containers=containers)


class Known:
    """Replicas that were seen to serve, until somebody else's apply wrote down anew where the project runs: what it
    took away stays away."""

    def __init__(self) -> None:
        self.replicas: set[ReplicaKey] = set()
        self._seen: set[str] = set()  # applies that a record named
        self._own: set[str] = set()

    def recorded(self, apply: str | None) -> None:
        """`apply`: as of `recorded_apply`. A record that was never there is not missed."""
        if apply is None or apply in self._seen or not (apply or self._seen):
            return
        if apply not in self._own:
            self.replicas.clear()
        self._seen = {*self._seen, apply} if apply else set()

    def own(self, apply: str) -> None:
        """An apply of whoever watches."""
        self._own.add(apply)


class Patience:
    """Back-off for each replica: the first attempt at once, then ever later, up to `most` seconds between two.

    A replica that has served for as long as that is forgiven. Times are seconds of any clock that only goes forward.
    """

    def __init__(self) -> None:
        self._tried: dict[ReplicaKey, tuple[int, float, float]] = {}  # attempts, the last one, not before

    def may(self, key: ReplicaKey, now: float) -> bool:
        return key not in self._tried or now >= self._tried[key][2]

    def tried(self, key: ReplicaKey, now: float, most: float, jitter: float) -> float:
        """Notes an attempt; returns the seconds until the next one. `jitter`, 0 to 1, takes up to half of them away, so
        that replicas that died together are not started together for ever."""
        attempts = self._tried.get(key, (0, 0.0, 0.0))[0] + 1
        pause = min(most, SHORTEST * 2.0 ** min(attempts - 1, 30)) * (1 - jitter / 2)
        self._tried[key] = (attempts, now, now + pause)
        return pause

    def ended(self, key: ReplicaKey, now: float) -> float:
        """The attempt is over, and the pause begins only now; returns its seconds."""
        attempts, began, until = self._tried[key]
        self._tried[key] = (attempts, now, now + until - began)
        return until - began

    def served(self, key: ReplicaKey, now: float, most: float) -> None:
        if key in self._tried and now - self._tried[key][1] >= most:
            del self._tried[key]


class Strikes:
    """Looks in a row at which a container did not serve, by its start: a restarted one begins anew. It is out after
    `most` of them, the first of which is SILENT_FOR ago: looks may follow each other closely."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: dict[Start, tuple[int, float]] = {}  # how many, and when the first one was
        self._now = 0.0

    def note(self, silent: Mapping[Start, str], now: float) -> None:
        before = {start: self._seen.get(start, (0, now)) for start in silent}
        self._seen = {start: (count + 1, first) for start, (count, first) in before.items()}
        self._now = now

    @property
    def out(self) -> frozenset[Start]:
        seen = self._seen.items()
        return frozenset(s for s, (count, first) in seen if count >= self._most and self._now - first >= SILENT_FOR)
