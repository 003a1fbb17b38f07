"""Operations in a few words, as every event and message about them says it. Decides nothing."""

from __future__ import annotations

from typing import assert_never

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


def operation_text(operation: Operation) -> str:
    match operation:
        case PullImage() | LoadImage() | FetchWeights() | ServeWeights() | CheckCopy() | FillCache():
            return _fetch_text(operation)
        case MakeDirectory(path=path):
            return f"make directory {path}"
        case AwaitReady(name=name, note=note):
            return f"wait until {name} is ready" + (f" ({note})" if note else "")
        case EnsureSetup(name=name, task=task):
            return f"set up {task.name} in {name}"
        case TakeOver(name=name):
            return f"stop hand-made container {name}, and keep it"
        case GiveBack(name=name):
            return f"start hand-made container {name} again"
        case Probe(name=name, category=category):
            return f"send {name} a real {category} request"
        case _:
            return _container_text(operation)


def _fetch_text(operation: PullImage | LoadImage | FetchWeights | ServeWeights | CheckCopy | FillCache) -> str:
    match operation:
        case PullImage(image=image):
            return f"pull image {image}"
        case LoadImage(image=image, archive=archive):
            return f"bring image {image}" + (f" from {archive}" if archive else "")
        case FetchWeights() | ServeWeights():
            return _weights_text(operation)
        case CheckCopy(folder=folder, manifest=manifest, read_by=str(other)):
            return f"find {folder} as host {other} reads it, a copy of {manifest.source} at {manifest.commit[:12]}"
        case CheckCopy(folder=folder, manifest=manifest):
            return f"read {folder} once, a copy of {manifest.source} at {manifest.commit[:12]}"
        case FillCache(spec=spec):
            return f"fetch the model of {spec.image} into its cache"
        case _:
            assert_never(operation)


def _weights_text(operation: FetchWeights | ServeWeights) -> str:
    """With the way they come, or where they go."""
    manifest = operation.manifest
    what = f"{manifest.source} at {manifest.commit[:12]}"
    if isinstance(operation, ServeWeights):
        return f"serve {what} to {', '.join(operation.to)}"
    if operation.shared_with is not None:
        return f"find {what} in the folder that host {operation.shared_with} shares"
    if operation.peers:
        return f"fetch {what} from peer {operation.peers[0]}"
    if operation.by == "controller":
        return f"bring {what} from the controller"
    return f"fetch {what} from {'its server' if manifest.hub == 'https' else 'the hub'}"


def _container_text(
    operation: CreateContainer | StartContainer | StopContainer | RemoveContainer | UpdateContainer | RenameContainer,
) -> str:
    match operation:
        case CreateContainer(name=name):
            return f"create container {name}"
        case StartContainer(name=name):
            return f"start container {name}"
        case StopContainer(name=name):
            return f"stop container {name}"
        case RemoveContainer(name=name):
            return f"remove container {name}"
        case UpdateContainer(name=name, restart=restart):
            return f"set restart {restart} on container {name}"
        case RenameContainer(name=name, to=to):
            return f"rename container {name} to {to}"
        case _:
            assert_never(operation)
