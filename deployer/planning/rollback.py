"""Replicas that go back to a former container: from what their own host recorded, and only there.

A record is believed as far as it is about its own host's containers. Which secrets one may be given, and how it is
asked, the spec of today says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.planning.choice import ServiceChoice
from deployer.planning.desired import DesiredReplica
from deployer.planning.diff import handover_back, handover_down
from deployer.planning.former import Back
from deployer.planning.handover import Handover
from deployer.planning.hosts import HostIndex
from deployer.planning.placed import Placed
from deployer.planning.readiness import backend_of
from deployer.planning.render_request import ModelFacts
from deployer.planning.replicas import Found
from deployer.planning.rollback_refusals import blocked, port_of, refusals
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.canonical import canonical_json
from deployer.values.codec import to_data
from deployer.values.container import ContainerSpec
from deployer.values.names import ReplicaKey
from deployer.values.resolved import Resolved, Unresolved


@dataclass(frozen=True, slots=True)
class GoingBack:
    """The handovers of a rollback, the services they are of, and what is against it."""

    handovers: tuple[Handover, ...]
    choices: Mapping[str, ServiceChoice]
    desired: Mapping[ReplicaKey, DesiredReplica]
    problems: tuple[Diagnostic, ...]


def going_back(
    project: Project, found: Mapping[ReplicaKey, tuple[Found, ...]], resolved: Resolved, back: Back
) -> GoingBack:
    """Of replicas that are still there; `back` says where to."""
    index = HostIndex(project.spec)
    handovers: list[Handover] = []
    desired: dict[ReplicaKey, DesiredReplica] = {}
    problems = list(back.problems)
    choices: dict[str, ServiceChoice] = {}
    for key, name in sorted(back.targets.items()) if not problems else ():
        items = found.get(key, ())
        target = next((i for i in items if i.container.name == name and i.host == items[0].host), None)
        if target is None and name is not None:
            problems.append(_gone(key, name))
        elif target is None:
            handovers += [handover_down(key, items, _keep(project, key))] if items else []
        else:
            against = [*refusals(project, target, index)]
            problems += against
            if not against:
                desired[key] = replica = _returning(project, target, resolved)
                choices.setdefault(key.service, replica.choice)
                handovers.append(handover_back(replica, target, items))
    problems += blocked({key: items for key, items in found.items() if key not in back.targets}, desired)
    return GoingBack(tuple(handovers), choices, desired, tuple(problems))


def _keep(project: Project, key: ReplicaKey) -> int:
    return project.spec.services[key.service].rollout.keep_revisions


def _gone(key: ReplicaKey, name: str) -> Diagnostic:
    message = f"container `{name}`, which replica `{key}` was to go back to, is gone"
    return Diagnostic("former-gone", message, hint="look at the hosts and begin again")


def _returning(project: Project, item: Found, resolved: Resolved) -> DesiredReplica:
    recorded, spec = item.recorded, _spec_of(item)
    known = {name: resolved.secrets.get(name) for name in spec.secret_names}
    return DesiredReplica(
        key=recorded.key,
        placed=_placed(project, item, spec),
        container=spec,
        recorded_as=canonical_json(to_data(spec)),
        revision=recorded.revision,
        name=item.container.name,
        decisions=recorded.decisions,
        secrets={name: None if isinstance(value, Unresolved) else value for name, value in known.items()},
        returns=item,
    )


def _placed(project: Project, item: Found, spec: ContainerSpec) -> Placed:
    key, decisions = item.recorded.key, item.recorded.decisions
    backend = backend_of(project.spec, item)
    assert backend is not None, "it was checked"
    choice = ServiceChoice(
        name=key.service,
        service=project.spec.services[key.service],
        model=_model(project.spec, key.service),
        backend=backend,
        backend_name=str(decisions.get("backend")),
        pin=None,
        category=str(decisions.get("category", "llm")),
        why_backend="",
    )
    share = item.container.gpu_share
    return Placed(key, choice, item.facts, ModelFacts("", "name"), spec.gpus, port_of(item) or 0, share=share)


def _model(spec: DeploySpec, service: str) -> Any:
    """Whatever it serves now: what the former container serves, is in its own record."""
    return next(
        (spec.models[alone.model] for alone in spec.services[service].each() if alone.model in spec.models), None
    )


def _spec_of(item: Found) -> ContainerSpec:
    assert item.recorded.spec is not None, "it was checked"
    return item.recorded.spec
