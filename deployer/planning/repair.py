"""Which replicas `watch` brings back: those that served as the spec says and do not any more. Decides nothing of when,
edits nothing."""

from __future__ import annotations

from collections.abc import Mapping, Set

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, RefusedError
from deployer.formats.times import seconds_of
from deployer.planning.applied import applied_inputs, latest_record
from deployer.planning.decisions import Written
from deployer.planning.hosts import HostIndex
from deployer.planning.patience import Start
from deployer.planning.readiness import backend_of
from deployer.planning.replicas import Found, found_replicas
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.facts import HostFacts, ObservedState
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Cause, Change, Plan, Reason
from deployer.values.records import LONGEST_LEASE, LockFact

EDITED = "does not serve, and its spec was edited since: see `deployer plan`"
TAKEN = "was taken away by apply {}, whose spec is another one: see `deployer history`"
HELD = (
    "does not serve, and is held: `deployer rollback --target {}` starts it again, `deployer apply --resume` moves on"
)
GONE = ("new", "stopped")  # reasons that are drift only for a replica that was seen to serve
LEFT = "spec-changed"  # likewise, where what is left of it is a predecessor and its spec was applied since
REMOVED = Reason("removed", "its container is gone")


@dataclass(frozen=True, slots=True)
class Fleet:
    """What was seen in one look. `serving`: replicas with a container that answers; `unlike`: those of them that are
    not what the spec says."""

    down: tuple[Change, ...]
    left: tuple[tuple[Change, str], ...]  # down too, but not to be brought back, and why
    serving: frozenset[ReplicaKey]
    unlike: frozenset[ReplicaKey] = frozenset()


def fleet(plan: Plan, observed: ObservedState, known: Known) -> Fleet:
    """`known` tells what was lost from what is new, and whose doing it is that a replica is down."""
    serving = frozenset(key for key, items in found_replicas(observed).items() if any(map(_serves, items)))
    down = [change for change in plan.pending if change.key not in serving and change.action is not Action.REMOVE]
    lost = [change for change in down if _is_drift(change, known)]
    whys = ((change, known.why_left(change.key)) for change in down if change not in lost)
    left = [(change, why) for change, why in whys if why is not None]
    held = (c for c in plan.changes if _is_held(c) and c.key in known.replicas and c.key not in serving)
    left += [(change, HELD.format(change.key.service)) for change in held]
    unlike = frozenset(change.key for change in plan.pending if change.key in serving and _is_edit(change))
    return Fleet(tuple(map(_as_told, lost)), tuple(left), serving, unlike)


def _serves(item: Found) -> bool:
    return item.container.status == "running" and item.is_verified


def _is_drift(change: Change, known: Known) -> bool:
    if known.is_gone(change.key) or known.is_other(change.key):
        return False
    if change.cause is Cause.DRIFT:
        return True
    is_lost = _code(change) in GONE or (_code(change) == LEFT and known.is_same(change.key))
    return change.cause is Cause.CHANGE and is_lost and change.key in known.replicas


def _code(change: Change) -> str:
    return change.reasons[0].code if change.reasons else ""


def _as_told(change: Change) -> Change:
    """The plan compares with the predecessor, which is an edit behind."""
    return replace(change, reasons=(REMOVED,)) if _code(change) == LEFT else change


def _is_edit(change: Change) -> bool:
    return change.cause is Cause.CHANGE and change.action is not Action.UPDATE


def _is_held(change: Change) -> bool:
    return change.action is Action.KEEP and bool(change.reasons) and change.reasons[0].code == "held"


def gone_replicas(spec: DeploySpec, observed: ObservedState) -> dict[str, str]:
    """Replicas that an apply took away or stopped, and which apply, unless a later one made a container of theirs."""
    latest = latest_record(spec, observed.reachable)
    gone = latest.gone if latest is not None else {}
    made = ((str(key), item.recorded.apply) for key, items in found_replicas(observed).items() for item in items)
    back = {key for key, apply in made if key in gone and apply > gone[key]}
    return {key: apply for key, apply in gone.items() if key not in back}


def refuse_overtaken(plan: Plan, observed: ObservedState, project: Project) -> None:
    """Raises RefusedError `hosts-moved` where what is to be brought back was taken away meanwhile, or edited."""
    known = Known()
    known.hosts(project, observed)
    whys = ((c, known.why_left(c.key)) for c in plan.pending)
    left = [Diagnostic("hosts-moved", f"replica `{c.key}` {why}", host=c.host) for c, why in whys if why is not None]
    if left:
        raise RefusedError(left)


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
    """What a look remembers of those before it. `replicas`: seen to serve as the spec says."""

    def __init__(self) -> None:
        self.replicas: set[ReplicaKey] = set()
        self._unlike: set[ReplicaKey] = set()  # seen to serve as another spec says
        self._has_record = False
        self._gone: Mapping[str, str] = {}  # and by which apply
        self._applied: Mapping[str, str] = {}
        self._written: Written | None = None

    def hosts(self, project: Project, observed: ObservedState) -> None:
        """What the hosts have written down. Where no record is left that was there, the project was destroyed."""
        spec = project.spec
        latest = latest_record(spec, observed.reachable)
        if latest is None and self._has_record and not observed.unreachable:
            self.replicas, self._unlike, self._has_record = set(), set(), False
        self._has_record = self._has_record or latest is not None
        self._gone = gone_replicas(spec, observed)
        self._applied = applied_inputs(spec, observed.reachable)
        self._written = Written(project, HostIndex(spec))

    def saw(self, fleet: Fleet) -> None:
        as_said = fleet.serving - fleet.unlike
        self.replicas = (self.replicas - fleet.unlike) | as_said
        self._unlike = (self._unlike - as_said) | fleet.unlike

    def is_gone(self, key: ReplicaKey) -> bool:
        return str(key) in self._gone

    def is_other(self, key: ReplicaKey) -> bool:
        """What was applied last says something else of it than the spec at hand."""
        return self._is_applied(key) is False

    def is_same(self, key: ReplicaKey) -> bool:
        return self._is_applied(key) is True

    def _is_applied(self, key: ReplicaKey) -> bool | None:
        """None where no host has it written down."""
        applied = self._applied.get(str(key))
        return None if applied is None or self._written is None else applied == self._written.service(key.service)

    def why_left(self, key: ReplicaKey) -> str | None:
        """Why a replica that is down, and that was not just lost, is not brought back; None where it is only new."""
        if self.is_gone(key):
            return TAKEN.format(self._gone[str(key)])
        is_edited = self.is_other(key) or key in self.replicas or key in self._unlike
        return EDITED if is_edited else None
