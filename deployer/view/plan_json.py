"""A plan as JSON, in the shape that programs rely on (format_version 1); details may be added, never taken away."""

from __future__ import annotations

from typing import Any

from deployer.engine.wording import operation_text
from deployer.values.codec import to_data
from deployer.values.operations import Operation
from deployer.values.plan import Availability, Change, HostUse, Placement, Plan, Step
from deployer.values.records import Hold
from deployer.view.diagnostics import diagnostic_json
from deployer.view.json_text import FORMAT_VERSION


def plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "deployer": plan.deployer,
        "project": plan.project,
        "id": plan.id,
        "spec_digest": plan.spec_digest,
        "hosts": {name: _host(use) for name, use in sorted(plan.hosts.items())},
        "summary": plan.summary(),
        "placements": [_placement(p) for p in plan.placements],
        "changes": [_change(c) for c in plan.changes],
        "steps": [_step(s) for s in plan.steps],
        "rollout": _rollout(plan),
        "holds": [hold_json(hold) for hold in plan.holds],
        "problems": [diagnostic_json(p) for p in plan.problems],
    }


def hold_json(hold: Hold) -> dict[str, str]:
    return {"service": hold.service, "who": hold.who, "since": hold.since, "why": hold.why, "apply": hold.apply}


def _host(use: HostUse) -> dict[str, Any]:
    if use.unreachable is not None:
        return {"unreachable": use.unreachable}
    return {"used": to_data(use.used, defaults=True), "used_digest": use.digest}


def _placement(placement: Placement) -> dict[str, Any]:
    members = [
        {"rank": m.rank, "role": m.role, "host": m.host, "gpus": m.gpus, "port": m.port} for m in placement.members
    ]
    return {"service": placement.key.service, "replica": placement.key.index, "members": members, "url": placement.url}


def _change(change: Change) -> dict[str, Any]:
    return {
        "service": change.key.service,
        "replica": change.key.index,
        "host": change.host,
        "from_host": change.from_host,
        "container": change.container,
        "action": change.action.value,
        "cause": change.cause.value,
        "reasons": [{"code": r.code, "message": r.message} for r in change.reasons],
        "diff": [to_data(d, defaults=True) for d in change.diff],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "host": step.host,
        "op": step.operation.op,
        "what": operation_text(step.operation),
        "needs": list(step.needs),
        "on_failure": [_operation(*item) for item in (*((step.host, o) for o in step.on_failure), *step.elsewhere)],
        "reverts": [_operation(*item) for item in step.reverts],
        "why": step.why,
        "bytes": step.bytes,
    }


def _operation(host: str, operation: Operation) -> dict[str, str]:
    return {"host": host, "op": operation.op, "what": operation_text(operation)}


def _down(service: Availability) -> dict[str, Any] | None:
    down = service.down
    return {"seconds": down.seconds, "measured": down.measured, "allowed": down.allowed} if down is not None else None


def _rollout(plan: Plan) -> dict[str, Any]:
    """`downtime`: whether any service has a moment without a ready replica; `min_ready` by service."""
    return {
        "downtime": any(a.downtime for a in plan.rollout),
        "min_ready": {a.service: a.min_ready for a in plan.rollout},
        "services": {
            a.service: {
                "ready_before": a.ready_before,
                "min_ready": a.min_ready,
                "desired": a.desired,
                "downtime": a.downtime,
                "down_for": _down(a),
            }
            for a in plan.rollout
        },
    }
