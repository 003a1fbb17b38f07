"""Asks running replicas whether they serve, and whether they see their GPUs, over their hosts' own connections."""

from __future__ import annotations

import http.client
from collections.abc import Set
from functools import partial

from deployer.engine.gpu_sight import has_lost_gpus
from deployer.engine.model_http import is_up, status_of
from deployer.planning.patience import Start
from deployer.planning.readiness import backend_of, endpoint_of, health_paths
from deployer.planning.replicas import Found, found_replicas
from deployer.spec.language import DeploySpec
from deployer.transport.base import Transport
from deployer.transport.fleet import Fleet
from deployer.values.facts import ObservedState
from deployer.values.operations import Endpoint

ANSWER_TIMEOUT = 5.0  # seconds
LOADING = (404, 503)


def ask_health(fleet: Fleet, spec: DeploySpec, observed: ObservedState) -> dict[str, str]:
    """`ready`, `loading`, `no answer` or `answers NNN` by container name; replicas that cannot be asked are absent."""
    by_host: dict[str, list[Found]] = {}
    for items in found_replicas(observed).values():
        for item in items:
            if item.container.status == "running":
                by_host.setdefault(item.host, []).append(item)
    answers: dict[str, str] = {}
    for found in fleet.map(sorted(by_host), partial(_ask_host, spec, by_host)).values():
        if isinstance(found, dict):
            answers |= found
    return answers


def ask_gpus(fleet: Fleet, observed: ObservedState, but: Set[Start]) -> dict[Start, bool | None]:
    """Of running containers that have GPUs which their host sees, `but` those: whether they lost them; None where
    nvidia-smi hangs in them."""
    by_host: dict[str, list[Start]] = {}
    for items in found_replicas(observed).values():
        for item in items:
            start = item.container.id, item.container.started_at
            if _has_gpus(item) and start not in but:
                by_host.setdefault(item.host, []).append(start)

    def ask(transport: Transport) -> dict[Start, bool | None]:
        return {start: has_lost_gpus(transport, start[0]) for start in by_host[transport.name]}

    found = fleet.map(sorted(by_host), ask).values()
    return {start: lost for said in found if isinstance(said, dict) for start, lost in said.items()}


def _has_gpus(item: Found) -> bool:
    gpu = item.facts.gpu
    return item.container.status == "running" and bool(item.container.gpus and gpu.gpus) and gpu.problem is None


def _ask_host(spec: DeploySpec, by_host: dict[str, list[Found]], transport: Transport) -> dict[str, str]:
    asked = {item.container.name: _ask(transport, spec, item) for item in by_host[transport.name]}
    return {name: answer for name, answer in asked.items() if answer is not None}


def _ask(transport: Transport, spec: DeploySpec, item: Found) -> str | None:
    backend, endpoint = backend_of(spec, item), endpoint_of(item)
    if backend is None or endpoint is None:
        return None
    answers = [_answer(transport, endpoint, path) for path in health_paths(spec, item, backend)]
    return next((answer for answer in answers if answer == "ready"), answers[0])


def _answer(transport: Transport, endpoint: Endpoint, path: str) -> str:
    try:
        status = status_of(transport, endpoint, path, ANSWER_TIMEOUT)
    except (OSError, http.client.HTTPException):
        return "no answer"
    if is_up(status):
        return "ready"
    return "loading" if status in LOADING else f"answers {status}"
