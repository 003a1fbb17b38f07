"""Performs one operation of a plan on its host: the one place that knows which function does which."""

from __future__ import annotations

from typing import assert_never

from deployer.dataclass import dataclass, replace
from deployer.engine.containers import create_container
from deployer.engine.context import ApplyContext, Site, Transports
from deployer.engine.copies import check_copy
from deployer.engine.directories import make_directory
from deployer.engine.filling import fill_cache
from deployer.engine.image_load import load_image
from deployer.engine.images import pull_image
from deployer.engine.lifecycle import (
    remove_container,
    rename_container,
    start_container,
    stop_container,
    update_container,
)
from deployer.engine.model_request import probe
from deployer.engine.readiness import await_ready
from deployer.engine.serving import serve_weights
from deployer.engine.setup import ensure_setup
from deployer.engine.takeover import give_back, take_over
from deployer.engine.watch import Watch
from deployer.engine.weights import fetch_weights
from deployer.errors import DeployerError, Diagnostic
from deployer.values.operations import (
    AwaitReady,
    CreateContainer,
    EnsureSetup,
    GiveBack,
    Operation,
    Probe,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    StopContainer,
    TakeOver,
    UpdateContainer,
)
from deployer.values.transfers import (
    CheckCopy,
    FetchWeights,
    FillCache,
    LoadImage,
    MakeDirectory,
    PullImage,
    ServeWeights,
)

Change = CreateContainer | StartContainer | StopContainer | RemoveContainer | UpdateContainer | RenameContainer


@dataclass(frozen=True, slots=True)
class Performer:
    """Callable as `execute` wants it. Every operation can be done twice; failures are OperationError or HostError."""

    context: ApplyContext
    transports: Transports

    def __call__(self, host: str, operation: Operation, watch: Watch) -> str:
        """What there is to say about it when it is done: the model's answer, or that nothing was to be done."""
        try:
            return self._perform(operation, Site(self.context, self.transports[host], watch))
        except DeployerError as error:
            raise type(error)(self._redacted(d) for d in error.diagnostics) from None

    def _redacted(self, diagnostic: Diagnostic) -> Diagnostic:
        """Whatever a layer below quoted from the host."""
        redact = self.context.redactor.redact
        evidence = tuple(redact(line) for line in diagnostic.evidence)
        return replace(diagnostic, message=redact(diagnostic.message), evidence=evidence)

    def _perform(self, operation: Operation, site: Site) -> str:
        match operation:
            case PullImage() | LoadImage() | FetchWeights() | ServeWeights() | CheckCopy() | FillCache():
                return bring(operation, site)
            case MakeDirectory():
                return make_directory(operation, site)
            case AwaitReady():
                return await_ready(operation, site)
            case Probe():
                return probe(operation, site)
            case EnsureSetup():
                self.context.fence(site.host)
                return ensure_setup(operation, site)
            case TakeOver() | GiveBack():
                self.context.fence(site.host)
                return take_over(operation, site) if isinstance(operation, TakeOver) else give_back(operation, site)
            case _:
                self.context.fence(site.host)
                return change(operation, site)


Bring = PullImage | LoadImage | FetchWeights | ServeWeights | CheckCopy | FillCache


def bring(operation: Bring, site: Site) -> str:
    """Images and weights, which nothing has to be stopped for."""
    match operation:
        case PullImage():
            return pull_image(operation, site)
        case LoadImage():
            return load_image(operation, site)
        case FetchWeights():
            return fetch_weights(operation, site)
        case ServeWeights():
            return serve_weights(operation, site)
        case CheckCopy():
            return check_copy(operation, site)
        case FillCache():
            return fill_cache(operation, site)
        case _:
            assert_never(operation)


def change(operation: Change, site: Site) -> str:
    match operation:
        case CreateContainer():
            return create_container(operation, site)
        case StartContainer():
            return start_container(operation, site)
        case StopContainer():
            return stop_container(operation, site)
        case RemoveContainer():
            return remove_container(operation, site)
        case UpdateContainer():
            return update_container(operation, site)
        case RenameContainer():
            return rename_container(operation, site)
        case _:
            assert_never(operation)
