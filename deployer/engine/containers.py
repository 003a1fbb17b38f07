"""Creates a container with its files in it, or leaves nothing behind. Starts nothing."""

from __future__ import annotations

from typing import Any

from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.payload import archive, create_body
from deployer.engine.context import Site, failed
from deployer.engine.image_names import image_there
from deployer.engine.image_parts import forget_parts
from deployer.engine.lifecycle import LIVE, remove
from deployer.engine.ownership import look_closely
from deployer.errors import DeployerError
from deployer.values.facts import ObservedContainer
from deployer.values.names import LABEL_APPLY, LABEL_REVISION
from deployer.values.operations import CreateContainer
from deployer.values.secrets import Secret, SecretRef

FIELDS_OF_OURS = ("Image", "Labels")  # of the create body: never from `container.extra`


def create_container(operation: CreateContainer, site: Site) -> str:
    """Secrets are revealed only in the request itself and in the archive of files."""
    if _is_there_already(operation, site):
        return "ran already"
    secrets = {name: site.context.secrets.value(name, site.host) for name in operation.spec.secret_names}
    image = _local_image(operation, site)
    forget_parts(site, image)  # of an apply that died as it had loaded it
    body = _body(operation, site, image, secrets)
    try:
        with engine_calls(site.host):
            created = site.changing().create_container_from_config(body, name=operation.name)
    except Refusal as refusal:
        raise site.refused(refusal, "create", operation.name, operation.spec.image) from None
    _put_files(operation, site, str(created["Id"]), secrets)
    return ""


def _is_there_already(operation: CreateContainer, site: Site) -> bool:
    """True when it runs as wanted; a leftover of ours that does not run is removed."""
    state = look_closely(site, operation.name)
    if state is None:
        return False
    if state.recorded is None:
        raise failed(
            "name-taken",
            f"container `{operation.name}` is there and is not ours",
            "remove or rename that container, then apply again",
            (f"{state.id[:12]}, {state.status}",),
            site.host,
        )
    if state.status in LIVE:
        return _runs_as_wanted(operation, state)
    remove(site, state)
    return False


def _runs_as_wanted(operation: CreateContainer, state: ObservedContainer) -> bool:
    if state.recorded is not None and state.recorded.revision == operation.labels.get(LABEL_REVISION):
        return True
    raise failed("container-moved", f"container `{operation.name}` runs with another revision", "plan again")


def _local_image(operation: CreateContainer, site: Site) -> str:
    image = image_there(site, operation.spec.image, operation.image_ids)
    if image is None:
        name = operation.spec.image
        raise failed("image-missing", f"image `{name}` is not on the host", "apply again: it is pulled first")
    return image


def _body(operation: CreateContainer, site: Site, image: str, secrets: dict[str, Secret]) -> dict[str, Any]:
    """With the restart policy `no`: what has not answered yet never comes back by itself."""
    env = {
        name: secrets[value.secret].reveal() if isinstance(value, SecretRef) else value
        for name, value in operation.spec.env.items()
    }
    labels = {**operation.spec.labels, **operation.labels, LABEL_APPLY: site.context.apply}
    body = create_body(operation.spec, labels, image, env)
    host_config = body.setdefault("HostConfig", {})
    host_config["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
    return body


def _put_files(operation: CreateContainer, site: Site, id: str, secrets: dict[str, Secret]) -> None:
    """All files, or no container."""
    try:
        data = archive(operation.spec, secrets)
        if data:
            with engine_calls(site.host):
                site.changing().put_archive(id, "/", data)
    except Refusal as refusal:
        _remove_again(site, id)
        raise site.refused(refusal, "put files into", operation.name) from None
    except Exception:
        _remove_again(site, id)
        raise


def _remove_again(site: Site, id: str) -> None:
    try:
        with engine_calls(site.host):
            site.changing().remove_container(id, v=False, force=True)
    except (Refusal, DeployerError):
        pass  # the connection is lost: the next apply removes what was created and never started
