"""Planners with one defect each: what must be true of plans is only tested by laws that these break."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace

from deployer.planning.planner import plan_destroy
from deployer.spec.project import Project
from deployer.values.names import ReplicaKey
from deployer.values.operations import (
    Probe,
    RemoveContainer,
    RenameContainer,
    StartContainer,
    StopContainer,
    UpdateContainer,
)
from deployer.values.plan import Action, Cause, Change, Plan, Reason, Step
from deployer.values.resolved import Resolved
from deployer.values.transfers import PullImage
from tests.properties.cases import Planner
from tests.support.planning import plan_for
from tests.support.world import Box, World

Alter = Callable[[Plan], Plan]


def altering(alter: Alter) -> Planner:
    """The real planner, and what `alter` makes of its plans."""
    return Planner(lambda project, world, resolved: alter(plan_for(project, world, resolved)))


def each_step(change: Callable[[Step], Step | None]) -> Planner:
    """Steps changed one by one; who needed a step that is gone needs what that one needed."""

    def alter(found: Plan) -> Plan:
        changed = [(step, change(step)) for step in found.steps]
        gone = {step.id: step.needs for step, new in changed if new is None}
        kept = [new for _, new in changed if new is not None]
        return replace(found, steps=tuple(replace(s, needs=tuple(bypassed(s.needs, gone))) for s in kept))

    return altering(alter)


def bypassed(needs: Iterable[str], gone: dict[str, tuple[str, ...]]) -> Iterable[str]:
    for need in needs:
        if need in gone:
            yield from bypassed(gone[need], gone)
        else:
            yield need


def is_verb(step: Step, *verbs: str) -> bool:
    return step.id.split("/")[2:3] in [[verb] for verb in verbs]


def own(step: Step, needs: Iterable[str]) -> tuple[str, ...]:
    """Those of the step's own replica, and pulls and directories."""
    return tuple(n for n in needs if f"/{step.key}/" in n or "/pull/" in n or "/directory/" in n)


# --- order -------------------------------------------------------------------------------

starts_without_waiting = each_step(
    lambda s: replace(s, needs=tuple(n for n in s.needs if "/stop" not in n)) if is_verb(s, "start") else s
)
ignores_others_claims = each_step(
    lambda s: replace(s, needs=own(s, s.needs)) if is_verb(s, "create", "rename", "start") else s
)
starts_all_at_once = each_step(
    lambda s: replace(s, needs=tuple(n for n in s.needs if "/commit" not in n)) if is_verb(s, "start") else s
)
stops_at_once = each_step(lambda s: replace(s, needs=()) if isinstance(s.operation, StopContainer) else s)
ignores_the_window = each_step(
    lambda s: (
        replace(s, needs=tuple(n for n in s.needs if f"/{s.key.service}-" not in n or f"/{s.key}/" in n))
        if s.key is not None and is_verb(s, "create", "rename")
        else s
    )
)
commits_before_the_answer = each_step(
    lambda s: replace(s, needs=tuple(f"{s.host}/{s.key}/start" for _ in s.needs[:1])) if is_verb(s, "commit") else s
)
comes_back_before_the_answer = each_step(
    lambda s: (
        replace(s, operation=replace(s.operation, restart="always")) if isinstance(s.operation, StartContainer) else s
    )
)
creates_before_the_pull = each_step(
    lambda s: replace(s, needs=tuple(n for n in s.needs if "/pull/" not in n)) if is_verb(s, "create") else s
)
lists_backwards = altering(lambda found: replace(found, steps=tuple(reversed(found.steps))))


# --- steps that are missing ---------------------------------------------------------------

forgets_to_pull = each_step(lambda s: None if isinstance(s.operation, PullImage) else s)
forgets_to_retire = each_step(lambda s: None if is_verb(s, "retire") else s)
forgets_to_commit = each_step(lambda s: None if is_verb(s, "commit", "update") else s)
forgets_to_probe = each_step(lambda s: None if isinstance(s.operation, Probe) or is_verb(s, "await") else s)
forgets_removals = each_step(lambda s: None if is_verb(s, "remove") else s)
forgets_to_start_again = each_step(lambda s: None if is_verb(s, "start") and s.operation.id is not None else s)  # type: ignore[union-attr]
forgets_to_rename = each_step(lambda s: None if is_verb(s, "rename") else s)


# --- failures -----------------------------------------------------------------------------

never_goes_back = each_step(lambda s: replace(s, reverts=()))
never_undoes = each_step(lambda s: replace(s, on_failure=(), elsewhere=()))
undoes_only_on_its_host = each_step(lambda s: replace(s, elsewhere=()))
leaves_successors = each_step(
    lambda s: replace(s, on_failure=tuple(o for o in s.on_failure if not isinstance(o, RemoveContainer)))
)
leaves_predecessors_down = each_step(
    lambda s: replace(s, on_failure=tuple(o for o in s.on_failure if not isinstance(o, StartContainer)))
)
leaves_names = each_step(
    lambda s: replace(s, on_failure=tuple(o for o in s.on_failure if not isinstance(o, RenameContainer)))
)


# --- what changes -------------------------------------------------------------------------


def promises_more(found: Plan) -> Plan:
    return replace(
        found, rollout=tuple(replace(a, min_ready=a.min_ready + (a.ready_before > 0)) for a in found.rollout)
    )


def says_change(found: Plan) -> Plan:
    return replace(found, changes=tuple(replace(c, cause=Cause.CHANGE) for c in found.changes))


def touches_what_is_kept(found: Plan) -> Plan:
    kept = [c for c in found.changes if c.action is Action.KEEP and c.container is not None]
    more = [
        Step(f"{c.host}/{c.key}/x", c.host, UpdateContainer(c.container or "", None, "no"), key=c.key) for c in kept
    ]
    return replace(found, steps=(*found.steps, *more))


def never_satisfied(found: Plan) -> Plan:
    keeps = [c for c in found.changes if c.action is Action.KEEP]
    return replace(found, changes=tuple(replace(c, action=Action.UPDATE, cause=Cause.DRIFT) for c in keeps))


def tells_secrets(found: Plan) -> Plan:
    return replace(found, steps=tuple(replace(s, why=f"{s.why} scrypt:one") for s in found.steps))


def holds_what_is_no_data(found: Plan) -> Plan:
    return replace(found, steps=tuple(replace(s, bytes=1.5) for s in found.steps))  # type: ignore[arg-type]


def removes_the_homeless(found: Plan) -> Plan:
    placed = {p.key for p in found.placements}
    key = ReplicaKey("api", 0)
    if key in placed:
        return found
    change = Change(key, "h1", Action.REMOVE, Cause.CHANGE, (Reason("not-in-spec", ""),))
    step = Step("h1/api-0/remove", "h1", RemoveContainer("lab_api_0", None), key=key)
    return replace(found, changes=(*found.changes, change), steps=(*found.steps, step))


def stops_strangers(project: Project, world: World, resolved: Resolved) -> Plan:
    found = plan_for(project, world, resolved)
    strangers = [
        (host, box)
        for host, boxes in world.boxes.items()
        for box in boxes.values()
        if box.identity[0] != project.spec.project
    ]
    more = [Step(f"{host}/{box.name}", host, StopContainer(box.name, box.id)) for host, box in strangers]
    return replace(found, steps=(*found.steps, *more))


def overlooks_others(project: Project, world: World, resolved: Resolved) -> Plan:
    alone = World(world.gpus, images=world.images)
    alone.boxes = {
        host: {n: b for n, b in boxes.items() if b.identity[0] == project.spec.project}
        for host, boxes in world.boxes.items()
    }
    return plan_for(project, alone, resolved)


def forgets_its_decisions(project: Project, world: World, resolved: Resolved) -> Plan:
    def blank(box: Box) -> Box:
        return replace(box, labels={**box.labels, "deployer.decisions": json.dumps({})})

    other = World(world.gpus, world.foreign_ports, world.foreign_gpus, images=world.images)
    other.boxes = {host: {n: blank(b) for n, b in boxes.items()} for host, boxes in world.boxes.items()}
    return plan_for(project, other, resolved)


def overlooks_free_gpus(project: Project, world: World, resolved: Resolved) -> Plan:
    other = World(world.gpus, world.foreign_ports, {}, images=world.images)
    other.boxes = world.boxes
    held = {gpu for box in world.all_boxes if box.holds for gpu in box.spec.gpus}
    other.foreign_gpus = {h: {i for i in range(n) if f"GPU-{h}-{i}" not in held} for h, n in world.gpus.items()}
    return plan_for(project, other, resolved)


def overlooks_rotations(project: Project, world: World, resolved: Resolved) -> Plan:
    return plan_for(project, world, Resolved())


def follows_the_order_of_the_spec(project: Project, world: World, resolved: Resolved) -> Plan:
    found = plan_for(project, world, resolved)
    order = list(project.spec.services)
    known = [c for c in found.changes if c.key.service in order]
    rest = [c for c in found.changes if c.key.service not in order]
    return replace(found, changes=(*sorted(known, key=lambda c: order.index(c.key.service)), *rest))


def overlooks_leftovers(project: Project, world: World, resolved: Resolved) -> Plan:
    other = World(world.gpus, world.foreign_ports, world.foreign_gpus, images=world.images)
    other.boxes = {h: {n: b for n, b in boxes.items() if b.holds} for h, boxes in world.boxes.items()}
    return plan_for(project, other, resolved)


def destroys_too_little(project: Project, world: World) -> Plan:
    found = plan_destroy(project, world.observe())
    return replace(found, steps=found.steps[1:])


def destroys_too_much(project: Project, world: World) -> Plan:
    found = plan_destroy(project, world.observe())
    more = [
        Step(f"{host}/{name}", host, RemoveContainer(name, box.id))
        for host, boxes in world.boxes.items()
        for name, box in boxes.items()
        if box.identity[0] != project.spec.project
    ]
    return replace(found, steps=(*found.steps, *more))
