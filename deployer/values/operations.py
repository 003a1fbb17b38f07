"""What a step of a plan does to a host, as data.

Operations are small frozen values without methods; every name in them is deterministic, so that no step hands
a result to another and each can be done twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from deployer.dataclass import dataclass
from deployer.values.container import ContainerSpec
from deployer.values.setup import SetupTask
from deployer.values.transfers import (
    CheckCopy,
    FetchWeights,
    FillCache,
    LoadImage,
    MakeDirectory,
    PullImage,
    ServeWeights,
)


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
