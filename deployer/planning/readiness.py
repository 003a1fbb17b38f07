"""How a placed replica proves that it serves: where it is asked, and for what."""

from __future__ import annotations

from deployer.planning.desired import DesiredReplica
from deployer.planning.render import served_names
from deployer.planning.render_mounts import model_target
from deployer.spec.language.services import ProbeRequest
from deployer.values.plan import AwaitReady, Endpoint, Probe

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def endpoint(replica: DesiredReplica) -> Endpoint:
    """Where the replica answers, seen from its own host."""
    service = replica.choice.service
    keys = service.options.api_key or ()
    return Endpoint(
        address=ANY_ADDRESS.get(service.port.bind, service.port.bind),
        port=replica.placed.port,
        api_key=keys[0].secret if keys else None,
    )


def await_ready(replica: DesiredReplica) -> AwaitReady:
    health, backend = replica.choice.service.health, replica.choice.backend
    return AwaitReady(
        name=replica.name,
        endpoint=endpoint(replica),
        path=backend.api.health,
        timeout=backend.ready_timeout if health.ready_timeout is None else health.ready_timeout,
        stall_timeout=health.stall_timeout,
    )


def probe(replica: DesiredReplica) -> Probe | None:
    """The real request after readiness; None where the spec says `probe: none`."""
    wanted = replica.choice.service.health.probe
    if wanted == "none":
        return None
    request = wanted if isinstance(wanted, ProbeRequest) else ProbeRequest()
    api = replica.choice.backend.api
    paths = {
        "models": api.models,
        "chat": api.chat,
        "completions": api.completions,
        "embeddings": api.embeddings,
        "rerank": api.rerank,
    }
    return Probe(
        name=replica.name,
        endpoint=endpoint(replica),
        category=replica.choice.category,
        models=_listed_names(replica),
        paths={name: path for name, path in paths.items() if path is not None},
        prompt=request.prompt,
        expect=request.expect,
    )


def _listed_names(replica: DesiredReplica) -> tuple[str, ...]:
    """What the server's list of models must hold."""
    if replica.choice.backend.names == "path":
        return (model_target(replica.placed.model),)
    names = served_names(replica.choice.service)
    if replica.choice.backend.names == "tagged":
        return tuple(name if ":" in name else f"{name}:latest" for name in names)
    return names


def url(replica: DesiredReplica, host_address: str) -> str:
    """As a client writes it: the host's address where the port is open to others."""
    bind = replica.choice.service.port.bind
    address = host_address if bind in ANY_ADDRESS else bind
    shown = f"[{address}]" if ":" in address else address
    return f"http://{shown}:{replica.placed.port}"
