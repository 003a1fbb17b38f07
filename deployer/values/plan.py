"""A plan as data: what changes and why, in which order, and what follows a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, Severity
from deployer.values.names import ReplicaKey
from deployer.values.operations import Operation, SetupQuestion
from deployer.values.records import Hold


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    MOVE = "move"
    START = "start"
    STOP = "stop"
    REMOVE = "remove"
    KEEP = "keep"


class Cause(StrEnum):
    CHANGE = "change"  # desired != recorded: the spec was edited
    DRIFT = "drift"  # recorded != actual: the host was touched, or something died
    DEFAULT = "default"  # only a default of a newer deployer differs
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, as a code that programs can match and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class FieldDiff:
    path: str
    before: Any  # JSON values; None: absent
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    key: ReplicaKey
    host: str
    action: Action
    cause: Cause
    reasons: tuple[Reason, ...] = ()
    diff: tuple[FieldDiff, ...] = ()
    from_host: str | None = None  # of a move
    container: str | None = None  # the name it is (or will be) known by


@dataclass(frozen=True, slots=True)
class Member:
    """One container of a replica (several only where a replica spans hosts)."""

    host: str
    gpus: tuple[str, ...] = ()
    port: int | None = None
    rank: int = 0
    role: str = "replica"


@dataclass(frozen=True, slots=True)
class Placement:
    """`gpu_memory`: bytes that the replica needs of each of its GPUs by the estimate; None where that is not known."""

    key: ReplicaKey
    members: tuple[Member, ...]
    url: str | None = None
    gpu_memory: int | None = None


# --- operations ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on one host. Starts only when all of `needs` are done; if it fails, or cannot start any more after
    something was changed for it, `on_failure` runs at once, and so does `elsewhere` (on the hosts named there).

    Steps that are `bound` by one name are done together or not at all: where one of them fails or is never reached for
    a failure, the `reverts` of those that were done follow, the last one first, each up to its first failure."""

    id: str
    host: str
    operation: Operation
    needs: tuple[str, ...] = ()
    on_failure: tuple[Operation, ...] = ()
    why: str = ""
    key: ReplicaKey | None = None
    bytes: int | None = None
    elsewhere: tuple[tuple[str, Operation], ...] = ()
    bound: str = ""
    reverts: tuple[tuple[str, Operation], ...] = ()


@dataclass(frozen=True, slots=True)
class HostUse:
    """What this plan's decisions used of a host; `unreachable` is the reason when there is no more to say."""

    used: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    unreachable: str | None = None


@dataclass(frozen=True, slots=True)
class Downtime:
    """`measured`: as the last starts on these hosts took; else it takes so long at most. `allowed`: by the spec, in
    seconds; None where it says nothing."""

    seconds: float
    measured: bool
    allowed: float | None = None

    @property
    def is_too_long(self) -> bool:
        return self.allowed is not None and self.seconds > self.allowed


@dataclass(frozen=True, slots=True)
class Availability:
    """Of one service while the plan runs: ready replicas before and after, and never fewer than `min_ready` between.
    `too_many`: replicas that can only go down together, where they are more than the spec's `max_unavailable`."""

    service: str
    ready_before: int
    min_ready: int
    desired: int
    downtime: bool  # true where at some moment no replica is ready although one was before
    down: Downtime | None = None  # how long that is
    too_many: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    project: str
    id: str | None
    deployer: str
    spec_digest: str
    hosts: Mapping[str, HostUse]
    placements: tuple[Placement, ...]
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]  # topologically sorted
    rollout: tuple[Availability, ...] = ()
    problems: tuple[Diagnostic, ...] = ()
    questions: tuple[SetupQuestion, ...] = ()
    holds: tuple[Hold, ...] = ()  # of services that it would change

    @property
    def pending(self) -> tuple[Change, ...]:
        """The changes that ask for steps."""
        return tuple(c for c in self.changes if c.action is not Action.KEEP and c.cause is not Cause.DEFAULT)

    @property
    def is_empty(self) -> bool:
        return not self.steps

    @property
    def has_errors(self) -> bool:
        """It may be shown, never applied."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)

    def summary(self) -> dict[str, int]:
        counts = {a.value: 0 for a in Action}
        for change in self.changes:
            kept = change.cause is Cause.DEFAULT
            counts[Action.KEEP.value if kept else change.action.value] += 1
        return counts
