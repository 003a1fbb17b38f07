"""A host serves weights to the project's other hosts: by a peer container of its own programs, which ends with the
controller's connection to it. Fails nothing: whoever is not served fetches from the source."""

from __future__ import annotations

import http.client
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.context import Site, failed
from deployer.engine.ownership import look
from deployer.engine.peer_containers import PeerContainer, end, keep, start
from deployer.engine.peers import Serving
from deployer.errors import DeployerError
from deployer.formats.text import decoded, one_line
from deployer.values.secrets import Secret
from deployer.values.transfers import ServeWeights
from deployer.weights.script import Peer
from deployer.weights.serving import PORT, Ground, look_script, parse_ground, served_folder, told

READY_WITHIN = 15.0  # seconds
LOOK_EVERY = 0.2
Close = Callable[[], None]


def serve_weights(operation: ServeWeights, site: Site) -> str:
    """Adds the host to the run's peers; says why where it cannot be one."""
    peers = site.context.peers
    try:
        ground = _ground(operation, site)
    except DeployerError as error:
        return _said(error)
    if not site.transport.dials:
        return _served(operation, site, ground, lambda: None)
    if not peers.claims(site.host):  # the few that can be at once are for changes
        return _said(failed("few-streams", "another model is served there, and its SSH connection has room for one"))
    return _served(operation, site, ground, lambda: peers.frees(site.host))


def _served(operation: ServeWeights, site: Site, ground: Ground, ended: Close) -> str:
    """`ended` is called when it serves no longer."""
    try:
        container = start(operation, site, ground)
    except DeployerError as error:
        ended()
        return _said(error)
    except BaseException:
        ended()
        raise

    def close() -> None:
        end(site, container)
        ended()

    token = Secret(secrets.token_urlsafe(32))
    try:
        container.stdin.sock.sendall(told(operation.manifest, token))
        _await_ready(operation, site, ground, container)
    except (DeployerError, OSError) as error:
        close()
        return _said(error)
    except BaseException:
        close()
        raise
    address = f"[{ground.address}]" if ":" in ground.address else ground.address
    peer = Peer(site.host, f"http://{address}:{operation.port}", token)
    serving = Serving(peer, lambda: keep(container), close)
    site.context.peers.serves(operation.manifest.id, serving, operation.to)
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


def _await_ready(operation: ServeWeights, site: Site, ground: Ground, container: PeerContainer) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            connection = site.transport.http(ground.address, operation.port, timeout=2.0)
            connection.request("GET", "/", headers={"Connection": "close"})
            if connection.getresponse().status == 403:  # it asks for the token
                return
        if look(site, container.id) is None:
            break  # it ended by itself
        site.watch.pause(LOOK_EVERY)
    words = (_last_words(site, container),)
    raise failed("peer-silent", "the container that serves weights does not answer", None, words, site.host)


def _last_words(site: Site, container: PeerContainer) -> str:
    try:
        with engine_calls(site.host):
            return site.words(decoded(site.transport.docker().logs(container.id, tail=1)))
    except (Refusal, DeployerError):
        return f"port {PORT} of it"
