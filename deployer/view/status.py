"""What runs, service by service: one value, here as JSON, in `status_text` for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from deployer.dataclass import dataclass, replace
from deployer.planning.replicas import Found, found_replicas
from deployer.spec.project import Project
from deployer.values.facts import ObservedState
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Cause, Change, Placement, Plan
from deployer.values.records import Hold
from deployer.view.json_text import FORMAT_VERSION
from deployer.view.measured import GpuUse, gpu_use, use_json
from deployer.view.plan_json import hold_json
from deployer.view.plan_outline import is_unknown

# What only hosts can bring about, so that it is drift beside an edit too (see planning.diff).
DRIFT_REASONS = ("exited", "paused", "restarting", "dead", "removing", "label-changed", "restart-policy")


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """`state`: Docker's word, `missing`, or `unknown` on an unreachable host. `pending`: what a plan would do."""

    replica: int
    host: str | None
    container: str | None
    state: str
    health: str | None = None
    gpus: tuple[str, ...] = ()
    url: str | None = None
    restarts: int = 0
    since: str | None = None
    drift: str | None = None  # how the host differs from what was recorded there, whatever the spec says now
    pending: str | None = None
    backend: str | None = None
    category: str = "llm"
    answers: str | None = None  # `completion`, where the model has no chat template
    gpu_memory: tuple[GpuUse, ...] = ()

    @property
    def is_ready(self) -> bool:
        return self.state == "running" and self.health in ("ready", "healthy")


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    model: str | None
    backend: str | None
    desired: int
    replicas: tuple[ReplicaStatus, ...]
    held: Hold | None = None

    @property
    def ready(self) -> int:
        return len({r.replica for r in self.replicas if r.is_ready})


@dataclass(frozen=True, slots=True)
class Status:
    project: str
    services: Mapping[str, ServiceStatus]


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a status is made of; `health` is what each running container answered just now, by its name."""

    project: Project
    observed: ObservedState
    plan: Plan
    health: Mapping[str, str] = field(default_factory=dict)


def status_of(seen: Seen) -> Status:
    found = found_replicas(seen.observed)
    names = sorted(set(seen.project.spec.services) | {key.service for key in found})
    services = {name: _service(seen, name, found) for name in names}
    return Status(seen.project.spec.project, services)


def _service(seen: Seen, name: str, found: Mapping[ReplicaKey, tuple[Found, ...]]) -> ServiceStatus:
    service = seen.project.spec.services.get(name)
    desired = 0 if service is None or service.state == "stopped" else service.replicas
    wanted = {ReplicaKey(name, index) for index in range(service.replicas if service else 0)}
    keys = sorted(wanted | {key for key in found if key.service == name})
    backends = {
        str(f.recorded.decisions["backend"])
        for k in keys
        for f in found.get(k, ())
        if "backend" in f.recorded.decisions
    }
    rows = [row for key in keys for row in _rows(seen, key, found.get(key, ()))]
    return ServiceStatus(
        model=", ".join(alone.model for alone in service.each() if alone.model) or None if service else None,
        backend=(service.backend if service else None) or ", ".join(sorted(backends)) or None,
        desired=desired,
        replicas=tuple(rows),
        held=next((hold for hold in seen.plan.holds if hold.service == name), None),
    )


def _rows(seen: Seen, key: ReplicaKey, found: tuple[Found, ...]) -> list[ReplicaStatus]:
    """The replica's current container, and others of it that run besides; a row for one that has none."""
    change = next((c for c in seen.plan.changes if c.key == key), None)
    placement = next((p for p in seen.plan.placements if p.key == key), None)
    if not found:
        host = placement.members[0].host if placement else change.host if change else None
        state = "unknown" if change is not None and is_unknown(change) else "missing"
        return [ReplicaStatus(key.index, host, None, state, url=None, pending=_pending(change))]
    shown = [item for i, item in enumerate(found) if i == 0 or item.is_live]
    need = placement.gpu_memory if placement is not None and _is_kept(change) else None
    rows = [_row(seen, item, change if item is shown[0] else None, _url(item, placement)) for item in shown]
    return [replace(row, gpu_memory=gpu_use(item, need)) for row, item in zip(rows, shown, strict=True)]


def _is_kept(change: Change | None) -> bool:
    """What runs is what the spec asks for."""
    return change is None or change.action in (Action.KEEP, Action.UPDATE)


def _url(item: Found, placement: Placement | None) -> str | None:
    """Where it answers now, which is not where the plan would have it answer."""
    port = item.recorded.decisions.get("port")
    if placement is None or placement.url is None or item.host != placement.members[0].host:
        return None
    return f"{placement.url.rpartition(':')[0]}:{port}" if isinstance(port, int) else placement.url


def _row(seen: Seen, item: Found, change: Change | None, url: str | None) -> ReplicaStatus:
    container = item.container
    running = container.status == "running"
    return ReplicaStatus(
        replica=item.recorded.key.index,
        host=item.host,
        container=container.name,
        state=container.status,
        health=(seen.health.get(container.name) or container.health) if running else None,
        gpus=container.gpus,
        url=url if running else None,
        restarts=container.restarts,
        since=(container.started_at if running else container.finished_at) or None,
        drift=_drift(change) if change is not None else None,
        pending=_pending(change),
        backend=str(item.recorded.decisions.get("backend", "")) or None,
        category=str(item.recorded.decisions.get("category", "llm")),
        answers="completion" if _completes(item) else None,
    )


def _completes(item: Found) -> bool:
    records = (record for record in item.facts.records if record.project == item.recorded.project)
    return any(item.container.name in record.completing for record in records)


def _drift(change: Change) -> str | None:
    """Of an edited replica too: what people or accidents did to its container stays drift."""
    drifted = change.cause is Cause.DRIFT
    reasons = [r.message for r in change.reasons if drifted or r.code in DRIFT_REASONS]
    return "; ".join(reasons) or None


def _why(change: Change) -> str:
    return "; ".join(reason.message for reason in change.reasons)


def _pending(change: Change | None) -> str | None:
    if change is None or change.action is Action.KEEP or change.cause is Cause.DEFAULT:
        return None
    return f"{change.action}: {_why(change)}" if change.reasons else str(change.action)


def status_json(status: Status) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "project": status.project,
        "services": {name: _service_json(service) for name, service in sorted(status.services.items())},
    }


def _service_json(service: ServiceStatus) -> dict[str, Any]:
    return {
        "model": service.model,
        "backend": service.backend,
        "desired": service.desired,
        "ready": service.ready,
        "held": hold_json(service.held) if service.held is not None else None,
        "replicas": [_replica_json(replica) for replica in service.replicas],
    }


def _replica_json(replica: ReplicaStatus) -> dict[str, Any]:
    names = ("replica", "host", "container", "state", "health", "gpus", "url", "restarts", "since", "drift", "pending")
    own = {name: getattr(replica, name) for name in (*names, "answers")}
    return own | {"gpu_memory": [use_json(use) for use in replica.gpu_memory]}
