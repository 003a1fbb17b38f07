"""What the walk of a plan has running: one operation each, in the lane where it may run. Runs nothing itself."""

from __future__ import annotations

from collections.abc import Hashable

from deployer.dataclass import dataclass
from deployer.engine.lanes import Lanes
from deployer.engine.undoing import Undoing
from deployer.values.events import Outcome, StepUndone
from deployer.values.operations import AwaitReady, EnsureSetup, Operation, Probe
from deployer.values.plan import Step
from deployer.values.transfers import CheckCopy, FetchWeights, FillCache, LoadImage, PullImage, ServeWeights


@dataclass(frozen=True, slots=True)
class Job:
    """One operation: a step's own, or one of what follows a failure."""

    step: Step
    operation: Operation
    host: str
    lanes: Lanes[Job]
    undoing: Undoing | None = None

    @property
    def lane(self) -> Hashable:
        if self.undoing is not None and self.undoing.alone:
            return (self.host, "change")
        return lane_of(self.host, self.operation, self.step.id)


@dataclass(frozen=True, slots=True)
class Finished:
    job: Job
    outcome: Outcome | StepUndone


class Wake:
    pass


def lane_of(host: str, operation: Operation, step: str) -> Hashable:
    """Changes of a host run one after the other, and so do its pulls, and its fetches; waits block nothing."""
    match operation:
        case PullImage() | LoadImage():
            return (host, "pull")
        case FetchWeights() | CheckCopy() | FillCache():
            return (host, "fetch")
        case AwaitReady() | EnsureSetup() | Probe() | ServeWeights():
            return (step, host, operation.op, getattr(operation, "name", ""))
        case _:
            return (host, "change")


def is_followed(operation: Operation) -> bool:
    """The work is the host's own, and whoever waits for its end costs little."""
    if isinstance(operation, FetchWeights):
        return operation.by == "host" or bool(operation.peers)
    return isinstance(operation, AwaitReady | EnsureSetup | Probe)
