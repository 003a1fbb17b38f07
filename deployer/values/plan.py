"""A plan as data: what changes and why, in which order, and what follows a failure.

Operations are small frozen values without methods; every name in them is deterministic, so that no step hands
a result to another and each can be done twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any, Literal

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic, Severity
from deployer.values.container import ContainerSpec
from deployer.values.facts import Hold
from deployer.values.image_content import ImageContent
from deployer.values.names import ReplicaKey
from deployer.values.setup import SetupTask
from deployer.values.weights import Manifest


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
class PullImage:
    """`digest`: of what the registry has under that name, so that all hosts get the same; None: whatever it means by
    then. `ids`: by which Docker may know the image afterwards; (): whatever comes. `size`: bytes to fetch."""

    image: str
    registry: str  # the registry's host, for its login
    digest: str | None = None
    ids: tuple[str, ...] = ()
    size: int | None = None
    op: Literal["pull-image"] = "pull-image"


@dataclass(frozen=True, slots=True)
class LoadImage:
    """Brings an image from the controller: out of `archive`, a file there, or of a registry that the host need not
    reach. Only layers that the host lacks are sent."""

    image: str
    content: ImageContent
    digest: str | None = None
    archive: str = ""
    op: Literal["load-image"] = "load-image"


@dataclass(frozen=True, slots=True)
class FetchWeights:
    """All files of a manifest into the host's cache, each checked; what is there and right stays. `by`: the host gets
    them itself, or the controller brings them. `peers`: hosts that are asked before, the nearest first. `shared_with`:
    a host that has the same folder, and brings them there before."""

    cache_dir: str
    manifest: Manifest
    by: Literal["host", "controller"] = "host"
    peers: tuple[str, ...] = ()
    shared_with: str | None = None
    op: Literal["fetch-weights"] = "fetch-weights"


@dataclass(frozen=True, slots=True)
class ServeWeights:
    """Other hosts may get the files of a manifest from this one's cache, while they still arrive there, until all hosts
    in `to` have them. `port`: of the address that the host is reached at. Where it cannot be, that is no failure."""

    cache_dir: str
    manifest: Manifest
    port: int
    to: tuple[str, ...]
    op: Literal["serve-weights"] = "serve-weights"


@dataclass(frozen=True, slots=True)
class CheckCopy:
    """Reads those files of a copy of a model that nobody has read as they are, writes down what they are in deployer's
    own folder, and holds them against the manifest. `root`: what they may not lead out of; `cache_dir`: where the model
    is fetched to if this copy is not it. `read_by`: a host that reads the same files of a file server before."""

    root: str
    folder: str
    manifest: Manifest
    cache_dir: str
    read_by: str | None = None
    op: Literal["check-copy"] = "check-copy"


@dataclass(frozen=True, slots=True)
class FillCache:
    """Runs an image's own program that fetches its model into the cache that `spec` mounts; the container is a task's,
    and gone afterwards. `labels` as of CreateContainer; `timeout` in seconds."""

    name: str
    spec: ContainerSpec
    labels: Mapping[str, str]
    timeout: float
    op: Literal["fill-cache"] = "fill-cache"


@dataclass(frozen=True, slots=True)
class MakeDirectory:
    """A directory of deployer's own (caches); exists afterwards, its content untouched."""

    path: str
    mode: int = 0o755
    op: Literal["make-directory"] = "make-directory"


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """Creates `name` with the restart policy `no` and puts its files and secret files into it; not started.
    Replaces a leftover of that name only if that one is ours and does not run. `image_ids`: by which Docker may know
    the image, where more than its name is known."""

    name: str
    spec: ContainerSpec
    labels: Mapping[str, str]  # ours, all of them but `deployer.apply`, which the apply adds
    image_ids: tuple[str, ...] = ()
    op: Literal["create-container"] = "create-container"


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Gives a container `restart` as restart policy and starts it; a paused one goes on, one that is in a crash loop
    starts anew. On its GPUs no other container may run but those that `beside` names, by id; where it `returns` to what
    it held before, whoever is there is no reason to leave it down. One that was started at `stuck` (RFC 3339) runs and
    serves nobody: it is stopped first. What is started `alone`, since it shares GPUs, answers before anything else of
    its host goes back."""

    name: str
    id: str | None  # as seen at plan time; None: created by this plan
    restart: str
    beside: tuple[str, ...] = ()
    returns: bool = False
    stuck: str | None = None
    alone: bool = False
    op: Literal["start-container"] = "start-container"


@dataclass(frozen=True, slots=True)
class StopContainer:
    """Sets the restart policy to `no`, then stops; the container is kept."""

    name: str
    id: str | None
    grace: float = 30.0
    op: Literal["stop-container"] = "stop-container"


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    name: str
    id: str | None
    grace: float = 30.0
    op: Literal["remove-container"] = "remove-container"


@dataclass(frozen=True, slots=True)
class UpdateContainer:
    """What Docker changes in place: the restart policy. Until a container has answered it is `no`, so the step
    that sets the wanted one is the mark that the container was verified."""

    name: str
    id: str | None
    restart: str
    op: Literal["update-container"] = "update-container"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How the controller reaches a replica: by the host's own connection, at an address of that host."""

    address: str
    port: int
    api_key: str | None = None  # name of the secret sent as bearer token


@dataclass(frozen=True, slots=True)
class AwaitReady:
    """Waits until the backend says it serves. Stops early when the container exits or restarts. `note`: why it may take
    long."""

    name: str
    endpoint: Endpoint
    path: str
    timeout: float
    stall_timeout: float
    note: str = ""
    op: Literal["await-ready"] = "await-ready"


@dataclass(frozen=True, slots=True)
class Probe:
    """One real request of the model's category; its answer is checked.

    `category`: as of a model in the spec. `models` must be in the backend's models list. `expect` is a regular
    expression the answer must contain. `vector`: how many numbers one has, where the model's files tell.
    """

    name: str
    endpoint: Endpoint
    category: str
    models: tuple[str, ...]
    paths: Mapping[str, str]  # models, chat, completions, embeddings, rerank, speech, transcriptions, images -> path
    prompt: str | None = None
    expect: str | None = None
    timeout: float = 120.0
    voice: str = "default"
    vector: int | None = None
    op: Literal["probe"] = "probe"


@dataclass(frozen=True, slots=True)
class RenameContainer:
    """Makes room for a successor of the same name; done when the container has the new name already."""

    name: str
    id: str | None
    to: str
    op: Literal["rename-container"] = "rename-container"


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Stops a hand-made container that the spec's `replaces` names, and keeps it: its restart policy becomes `no`."""

    name: str
    id: str
    op: Literal["take-over"] = "take-over"


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Gives such a container the restart policy it had, and starts it again if it `ran`."""

    name: str
    id: str
    restart: str
    ran: bool = True
    retries: int = 0  # of the policy `on-failure`; 0: without end
    op: Literal["give-back"] = "give-back"


@dataclass(frozen=True, slots=True)
class EnsureSetup:
    """Makes sure that a task of a replica's setup is done: asks, does it where it is not, and asks again."""

    name: str
    endpoint: Endpoint
    task: SetupTask
    op: Literal["ensure-setup"] = "ensure-setup"


@dataclass(frozen=True, slots=True)
class SetupQuestion:
    """Whether a container that runs is set up as its replica shall be; without an answer a plan takes it for done."""

    host: str
    container: str  # id
    operation: EnsureSetup


Operation = (
    PullImage
    | LoadImage
    | FetchWeights
    | ServeWeights
    | CheckCopy
    | FillCache
    | MakeDirectory
    | CreateContainer
    | StartContainer
    | StopContainer
    | RemoveContainer
    | UpdateContainer
    | RenameContainer
    | TakeOver
    | GiveBack
    | AwaitReady
    | EnsureSetup
    | Probe
)


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
