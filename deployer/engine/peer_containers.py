"""A container that serves weights from a host: made of one script, kept by what we hold of its stdin, and ended. Does
not know whom it serves."""

from __future__ import annotations

import http.client
from contextlib import suppress

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.payload import create_body
from deployer.docker.shapes import map_of
from deployer.engine.context import Site, failed
from deployer.engine.ownership import inspect_image
from deployer.engine.task import discard, remove_leftover, task_labels
from deployer.errors import DeployerError
from deployer.formats.text import one_line
from deployer.values.container import ContainerSpec
from deployer.values.names import ReplicaKey
from deployer.values.transfers import ServeWeights
from deployer.weights.serving import IMAGE, Ground, image_archive, image_layer, image_tag, peer_container, served_folder

KEY = ReplicaKey("weights", 0)  # what they are called
GONE = 404  # HTTP status


@dataclass(frozen=True, slots=True)
class PeerContainer:
    id: str
    image: str
    stdin: http.client.HTTPConnection


def start(operation: ServeWeights, site: Site, ground: Ground) -> PeerContainer:
    """Its stdin stays with us: it ends when that does."""
    name, labels = task_labels(site, KEY, operation.manifest.id)
    remove_leftover(site, name)
    spec = peer_container(served_folder(operation.cache_dir, operation.manifest), operation.port, ground)
    id_, image = _created(site, name, spec, labels)
    try:
        stdin = _attached(site, id_)
        with engine_calls(site.host):
            site.transport.docker().start(id_)
    except Refusal as refusal:
        discard(site, id_)
        raise site.refused(refusal, "start", name) from None
    except BaseException:
        discard(site, id_)
        raise
    return PeerContainer(id_, image, stdin)


def _created(site: Site, name: str, spec: ContainerSpec, labels: dict[str, str]) -> tuple[str, str]:
    """Its id and its image's. Whoever else served here takes the image away when no container uses it yet."""
    for again in (True, True, False):
        try:
            image = _image(site)
            body = create_body(spec, labels, image, {k: str(v) for k, v in spec.env.items()})
            body["HostConfig"]["AutoRemove"] = True
            with engine_calls(site.host):
                return str(site.transport.docker().create_container_from_config(body, name=name)["Id"]), image
        except Refusal as refusal:
            if not again or refusal.status != GONE:
                raise site.refused(refusal, "create", name) from None
    raise AssertionError("the last try returns or raises")


def _image(site: Site) -> str:
    """Of one script, made where it is not there; one of that name with another content is somebody's, and stays."""
    name = f"{IMAGE}:{image_tag()}"
    found = inspect_image(site, name)
    if found is not None and map_of(found, "RootFS").get("Layers") != [image_layer()]:
        raise failed("image-taken", f"image `{name}` is somebody else's", host=site.host)
    if found is None:
        with engine_calls(site.host):  # `import_image_from_data` would wait without end
            site.transport.docker().import_image(image_archive(), repository=IMAGE, tag=image_tag())
        found = inspect_image(site, name)
    if found is None:
        raise failed("image-missing", f"image `{name}` is not there after its import", None, (), site.host)
    return str(found["Id"])


def _attached(site: Site, id_: str) -> http.client.HTTPConnection:
    connection = site.transport.engine()
    headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
    try:
        connection.request("POST", f"/containers/{id_}/attach?stream=1&stdin=1", headers=headers)
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise failed("engine-lost", f"Docker does not attach to it: {one_line(str(error))}", host=site.host) from None
    if response.status not in (101, 200):
        connection.close()
        raise failed("engine-lost", f"Docker does not attach to it: status {response.status}", host=site.host)
    return connection


def keep(container: PeerContainer) -> None:
    """It stays although nobody asks it for anything yet."""
    sock = container.stdin.sock
    if sock is not None:  # None while it is being ended
        sock.sendall(b"\n")


def end(site: Site, container: PeerContainer) -> None:
    """Twice, as nobody is waited for: its stdin ends, and it is removed, with the image unless another one uses it."""
    with suppress(OSError):
        container.stdin.close()
    discard(site, container.id)
    with suppress(Refusal, DeployerError), engine_calls(site.host):
        site.transport.docker().remove_image(container.image)
