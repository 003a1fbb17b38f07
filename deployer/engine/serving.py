"""A host serves weights to the project's other hosts: by a helper container of its own programs, which ends with the
controller's connection to it. Fails nothing: whoever is not served fetches from the source."""

from __future__ import annotations

import http.client
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal, engine_calls
from deployer.docker.payload import create_body
from deployer.engine.context import Site, failed
from deployer.engine.ownership import inspect_image, look
from deployer.engine.task import discard, remove_leftover, task_labels
from deployer.errors import DeployerError
from deployer.formats.text import decoded, one_line
from deployer.values.names import ReplicaKey
from deployer.values.plan import ServeWeights
from deployer.values.secrets import Secret
from deployer.weights.script import Peer
from deployer.weights.serving import (
    IMAGE,
    PORT,
    Ground,
    helper,
    image_archive,
    look_script,
    parse_ground,
    served_folder,
    told,
)

KEY = ReplicaKey("weights", 0)  # what its helpers are called
READY_WITHIN = 15.0  # seconds
LOOK_EVERY = 0.2
Close = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Helper:
    id: str
    stdin: http.client.HTTPConnection


def serve_weights(operation: ServeWeights, site: Site) -> str:
    """Adds the host to the run's peers; says why where it cannot be one."""
    try:
        ground = _ground(operation, site)
        token = Secret(secrets.token_urlsafe(32))
        helper_ = _started(operation, site, ground)
    except DeployerError as error:
        return _said(error)
    try:
        helper_.stdin.sock.sendall(told(operation.manifest, token))
        _await_ready(operation, site, ground, helper_)
    except (DeployerError, OSError) as error:
        _end(site, helper_)
        return _said(error)
    except BaseException:
        _end(site, helper_)
        raise
    address = f"[{ground.address}]" if ":" in ground.address else ground.address
    peer = Peer(site.host, f"http://{address}:{operation.port}", token)
    site.context.peers.serves(operation.manifest.id, peer, operation.to, lambda: _end(site, helper_))
    return f"on {address}:{operation.port}"


def _said(error: DeployerError | OSError) -> str:
    found = error.diagnostics[0] if isinstance(error, DeployerError) else None
    why = ": ".join((found.message, *found.evidence[-1:])) if found else one_line(str(error))
    return f"it serves nobody, so that they fetch from the source: {why}"


def _ground(operation: ServeWeights, site: Site) -> Ground:
    """The address that the controller reaches the host at, and no other."""
    folder = served_folder(operation.cache_dir, operation.manifest)
    done = site.transport.run(["sh", "-s"], stdin=look_script(folder), timeout=60.0)
    ground = parse_ground(done.stdout)
    if done.exit_code:
        raise failed("cache-unwritable", f"`{operation.cache_dir}` cannot be written", None, (), site.host)
    if not ground.address:
        raise failed("no-address", "the address it is reached at is not one of its own", None, (), site.host)
    return ground


def _started(operation: ServeWeights, site: Site, ground: Ground) -> _Helper:
    """Its stdin stays with us: it ends when that does."""
    name, labels = task_labels(site, KEY, operation.manifest.id)
    remove_leftover(site, name)
    spec = helper(served_folder(operation.cache_dir, operation.manifest), operation.port, ground)
    docker = site.transport.docker()
    try:
        image = _image(site)
        body = create_body(spec, labels, image, {k: str(v) for k, v in spec.env.items()})
        body["HostConfig"]["AutoRemove"] = True
        with engine_calls(site.host):
            id_ = str(docker.create_container_from_config(body, name=name)["Id"])
    except Refusal as refusal:
        raise site.refused(refusal, "create", name) from None
    try:
        stdin = _attached(site, id_)
        with engine_calls(site.host):
            docker.start(id_)
    except Refusal as refusal:
        discard(site, id_)
        raise site.refused(refusal, "start", name) from None
    except BaseException:
        discard(site, id_)
        raise
    return _Helper(id_, stdin)


def _image(site: Site) -> str:
    """Of one script; made where it is not there, or is another deployer's."""
    with engine_calls(site.host):
        site.transport.docker().import_image_from_data(image_archive(), repository=IMAGE)
    found = inspect_image(site, IMAGE)
    if found is None:
        raise failed("image-missing", f"image `{IMAGE}` is not there after its import", None, (), site.host)
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


def _await_ready(operation: ServeWeights, site: Site, ground: Ground, helper_: _Helper) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            connection = site.transport.http(ground.address, operation.port, timeout=2.0)
            connection.request("GET", "/", headers={"Connection": "close"})
            if connection.getresponse().status == 403:  # it asks for the token
                return
        if look(site, helper_.id) is None:
            break  # it ended by itself
        site.watch.pause(LOOK_EVERY)
    raise failed("peer-silent", "its helper does not answer", None, (_last_words(site, helper_),), site.host)


def _last_words(site: Site, helper_: _Helper) -> str:
    try:
        with engine_calls(site.host):
            return site.words(decoded(site.transport.docker().logs(helper_.id, tail=1)))
    except (Refusal, DeployerError):
        return f"port {PORT} of it"


def _end(site: Site, helper_: _Helper) -> None:
    """Twice, as nobody is waited for: its stdin ends, and it is removed, with the image unless another one uses it."""
    with suppress(OSError):
        helper_.stdin.close()
    discard(site, helper_.id)
    with suppress(Refusal, DeployerError), engine_calls(site.host):
        site.transport.docker().remove_image(IMAGE)
