"""The laws that every plan keeps. Each takes the planner it is about, so that mutants can be shown to break it."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from deployer.values.codec import from_data, to_data
from deployer.values.names import ReplicaKey
from deployer.values.operations import Operation
from deployer.values.plan import Action, Cause, Plan
from tests.properties.cases import Case, Planner, Wish
from tests.properties.oracle import is_as_asked
from tests.support.planning import errors_of, plan_for, project_of
from tests.support.walk import Walk
from tests.support.world import IDENTITY, Box, World, never_bad, never_fails

Law = Callable[[Planner, Case], None]


class Unplaceable(Exception):
    """What is asked for fits on no host: the law has nothing to say."""


def plan_of(planner: Planner, wish: Wish, world: World) -> Plan:
    found = planner.plan(wish.project(), world, wish.resolved)
    if errors_of(found):
        raise Unplaceable
    return found


def promise(found: Plan, world: World) -> Callable[[], None]:
    """Fails as soon as fewer replicas are ready than the plan says."""

    def watch() -> None:
        for service in found.rollout:
            ready = world.ready(service.service)
            assert ready >= service.min_ready, f"{service.service}: {ready} ready, promised {service.min_ready}"

    return watch


def settle(planner: Planner, wish: Wish, world: World, chance: Random) -> Plan:
    """Plans and does it all; every promise is kept."""
    found = plan_of(planner, wish, world)
    Walk(world, found.steps, chance.randrange, promise(found, world)).run()
    return found


def converges(planner: Planner, wish: Wish, world: World, chance: Random) -> None:
    settle(planner, wish, world, chance)
    assert is_as_asked(wish, world) == []
    again = plan_of(planner, wish, world)
    assert [s.id for s in again.steps] == []
    assert not again.pending


def running(world: World) -> dict[str, str]:
    return {box.id: box.name for box in world.all_boxes if box.status == "running"}


# --- laws ------------------------------------------------------------------------------


def reaches_what_is_asked(planner: Planner, case: Case) -> None:
    """Applying a plan reaches the desired world, and the next plan is empty."""
    world, chance = case.world(), case.chance()
    for wish in (case.before, case.after, case.before):
        converges(planner, wish, world, chance)


def survives_a_crash(planner: Planner, case: Case) -> None:
    """Killed after any step, one more plan converges; also when successors do not answer and undoing was under way."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    old = {box.id for box in world.all_boxes}
    if chance.random() < 0.5:
        world.bad = lambda box: box.id not in old
    found = plan_of(planner, case.after, world)
    Walk(world, found.steps, chance.randrange).run(stop_after=chance.randint(0, 2 * len(found.steps)))
    world.bad = never_bad
    again = planner.plan(case.after.project(), world, case.after.resolved)
    assert errors_of(again) == [], "what was placed before the crash is placed after it"
    converges(planner, case.after, world, chance)


def keeps_healthy_replicas(planner: Planner, case: Case) -> None:
    """A successor that never answers costs no healthy replica, and leaves nothing half-made."""
    world, chance = case.world(), case.chance()
    if any(s["rollout"]["on_failure"] == "stop" for s in case.after.services.values()):
        raise Unplaceable
    settle(planner, case.before, world, chance)
    old = {box.id for box in world.all_boxes}
    world.bad = lambda box: box.id not in old
    before = ready_keys(world)
    found = plan_of(planner, case.after, world)
    gone = {c.key for c in found.changes if c.action in (Action.REMOVE, Action.STOP)}
    Walk(world, found.steps, chance.randrange, promise(found, world)).run()
    assert before - gone <= ready_keys(world)
    for box in world.all_boxes:
        assert box.status != "created", f"{box.name} was left half-made"
        assert not box.name.endswith(".old"), f"{box.name} has not got its name back"
    world.bad = never_bad
    converges(planner, case.after, world, chance)


def ready_keys(world: World) -> set[ReplicaKey]:
    return {box.key for box in world.all_boxes if box.status == "running" and box.is_verified and not world.bad(box)}


def survives_failures(planner: Planner, case: Case) -> None:
    """Any operations may fail, before or after they took effect, undoing too: one more plan converges."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    rate = chance.choice([0.05, 0.2, 0.5])

    def fails(host: str, operation: Operation) -> str | None:
        return chance.choice(["before", "after"]) if chance.random() < rate else None

    world.fails = fails
    Walk(world, plan_of(planner, case.after, world).steps, chance.randrange).run()
    world.fails = never_fails
    again = planner.plan(case.after.project(), world, case.after.resolved)
    assert errors_of(again) == [], "what was placed before the failure is placed after it"
    converges(planner, case.after, world, chance)


def one_failure_costs_no_healthy_replica(planner: Planner, case: Case) -> None:
    """One operation that fails is undone: nothing that was ready is lost but for what the spec removes."""
    world, chance = case.world(), case.chance()
    if any(s["rollout"]["on_failure"] == "stop" for s in case.after.services.values()):
        raise Unplaceable
    settle(planner, case.before, world, chance)
    before, found = ready_keys(world), plan_of(planner, case.after, world)
    gone = {c.key for c in found.changes if c.action in (Action.REMOVE, Action.STOP)}
    left = [chance.randint(0, max(1, len(found.steps)))]

    def fails(host: str, operation: Operation) -> str | None:
        left[0] -= 1
        return chance.choice(["before", "after"]) if left[0] == 0 else None

    world.fails = fails
    Walk(world, found.steps, chance.randrange, promise(found, world)).run()
    assert before - gone <= ready_keys(world)


def a_failure_after_a_crash_costs_no_healthy_replica(planner: Planner, case: Case) -> None:
    """An apply dies at any step, and no successor of the next one answers: what was ready before the first is ready."""
    world, chance = case.world(), case.chance()
    services = (*case.before.services.values(), *case.after.services.values())
    if any(s["rollout"]["on_failure"] == "stop" for s in services):
        raise Unplaceable
    settle(planner, case.before, world, chance)
    before = ready_keys(world)
    found = plan_of(planner, case.after, world)
    gone = {c.key for c in found.changes if c.action in (Action.REMOVE, Action.STOP)} | given_up(found, world)
    Walk(world, found.steps, chance.randrange).run(stop_after=chance.randint(0, len(found.steps)))
    good = {box.id for box in world.all_boxes if box.has_answered}
    world.bad = lambda box: box.id not in good
    Walk(world, plan_of(planner, case.after, world).steps, chance.randrange).run()
    assert before - gone <= ready_keys(world)


def given_up(found: Plan, world: World) -> set[ReplicaKey]:
    """Replicas that have what others are to have, or that leave their host: another host's label cannot name them."""
    members = [(p.key, member) for p in found.placements for member in p.members]
    wanted = {(m.host, "gpu", gpu): key for key, m in members for gpu in m.gpus}
    wanted |= {(m.host, "port", str(m.port)): key for key, m in members}
    held = (
        (box.key, (host, *claim))
        for host, boxes in world.boxes.items()
        for box in boxes.values()
        for claim in box.claims()
    )
    return {key for key, claim in held if wanted.get(claim, key) != key} | {c.key for c in found.changes if c.from_host}


def goes_back_as_a_whole(planner: Planner, case: Case) -> None:
    """Where some successors of a service fail, and its plan binds them, all of its replicas are what they were."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    before, found = running(world), plan_of(planner, case.after, world)
    swapped = {s.key for s in found.steps if s.operation.op == "create-container" and s.key is not None}
    unlucky = {key for key in sorted(swapped) if chance.random() < 0.4}
    world.bad = lambda box: box.id not in before and box.key in unlucky
    Walk(world, found.steps, chance.randrange, promise(found, world)).run()
    several = [name for name in {k.service for k in unlucky} if sum(k.service == name for k in swapped) > 1]
    wishes = {name: s for name, s in case.after.services.items() if s["rollout"]["on_failure"] == "rollback"}
    for name in several:
        was_there = any(f"_{name}_" in box for box in before.values())
        if name in wishes and was_there and not gives_away(found, name):
            now = {box.id for box in world.all_boxes if box.key in swapped and box.key.service == name and box.holds}
            assert now <= set(before), f"{name} has replicas of both revisions"


def stops_first_only_where_it_must(planner: Planner, case: Case) -> None:
    """What can start beside its predecessor does: deployer picks its port, and its host has GPUs enough that nobody has
    or is to have. They are enough for one service, whose replicas take turns."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    found = plan_of(planner, case.after, world)
    needs = {step.id: step.needs for step in found.steps}
    for change in found.changes:
        wish = case.after.services.get(change.key.service, {})
        is_swap = change.action is Action.REPLACE and change.cause is not Cause.DEFAULT
        if is_swap and may_be_beside(wish) and leaves_room(found, world, change.host, change.key):
            stop = needs.get(f"{change.host}/{change.key}/stop", ())
            assert f"{change.host}/{change.key}/commit" in stop, f"{change.key} is stopped first"


def may_be_beside(wish: dict[str, Any]) -> bool:
    automatic = wish["port"] is None and not isinstance(wish["placement"]["gpus"], list)
    return automatic and not wish["placement"].get("share") and wish["rollout"]["strategy"] != "recreate"


def leaves_room(found: Plan, world: World, host: str, key: ReplicaKey) -> bool:
    """For the GPUs of one replica; of a service that has as many a replica as it will have."""
    boxes = [box for box in world.boxes[host].values() if box.holds]
    free = {f"GPU-{host}-{i}" for i in range(world.gpus[host]) if i not in world.foreign_gpus.get(host, ())}
    free -= {gpu for box in boxes for gpu in box.spec.gpus}
    placed = {p.key: p.members[0].gpus for p in found.placements if p.members[0].host == host}
    free -= {gpu for other, gpus in placed.items() if other.service != key.service for gpu in gpus}
    mine = [placed[other] for other in placed if other.service == key.service]
    free -= {gpu for gpus in mine for gpu in gpus if len(mine) > sum(box.key.service == key.service for box in boxes)}
    sizes = {len(gpus) for gpus in mine} | {len(box.spec.gpus) for box in boxes if box.key.service == key.service}
    return len(sizes) == 1 and len(free) >= max(sizes)


def gives_away(found: Plan, service: str) -> bool:
    """Another service waits for what this one's predecessors hold."""
    mine = {step.id for step in found.steps if step.key is not None and step.key.service == service}
    others = (step for step in found.steps if step.key is not None and step.key.service != service)
    return any(mine.intersection(step.needs) for step in others)


def leaves_the_untouched_alone(planner: Planner, case: Case) -> None:
    """A replica that is kept gets no step, and its container is the same one afterwards."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    before = running(world)
    found = plan_of(planner, case.after, world)
    kept = {c.key for c in found.changes if c.action is Action.KEEP or c.cause is Cause.DEFAULT}
    assert not [s.id for s in found.steps if s.key in kept]
    Walk(world, found.steps, chance.randrange).run()
    for box in world.all_boxes:
        if box.key in kept and box.status == "running":
            assert before.get(box.id) == box.name


def moves_nothing_that_was_not_edited(planner: Planner, case: Case) -> None:
    """A service nobody edited, on hosts nobody edited, stays as it is unless its claims were given away by the spec."""
    if case.before.racks != case.after.racks or case.before.secret != case.after.secret:
        raise Unplaceable
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    found = plan_of(planner, case.after, world)
    same = {name for name, s in case.before.services.items() if case.after.services.get(name) == s}
    assert not [c for c in found.pending if c.key.service in same]


def drift_is_put_right(planner: Planner, case: Case) -> None:
    """Whatever happens to containers: the next plan calls it drift and converges; others' claims are respected."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    for _ in range(chance.randint(1, 4)):
        disturb(world, chance)
    found = plan_of(planner, case.before, world)
    for change in found.pending:
        new = {reason.code for reason in change.reasons} <= {"new", "surplus", "stopped", "state-stopped"}
        assert change.cause is Cause.DRIFT or new, change
    converges(planner, case.before, world, chance)


def disturb(world: World, chance: Random) -> None:
    """A container dies, is removed, paused or updated by hand, or crashes in a loop; somebody takes its port or GPU."""
    boxes = [(host, box) for host in sorted(world.boxes) for _, box in sorted(world.boxes[host].items())]
    if not boxes:
        return
    host, box = chance.choice(boxes)
    match chance.choice(["dies", "removed", "paused", "policy", "loops", "port", "gpu", "dead"]):
        case "removed":
            del world.boxes[host][box.name]
        case "policy" if box.holds:
            box.restart = chance.choice(["no", "on-failure"])
        case "dies" | "dead" as how if box.holds:
            box.status = "dead" if how == "dead" else "exited"
        case "paused" | "loops" as how if box.holds:
            box.status = "paused" if how == "paused" else "restarting"
        case "port" | "gpu" as kind if box.holds:
            box.status = "exited"
            names = sorted(name for k, name in box.claims() if k == kind)
            if kind == "port":
                world.foreign_ports.setdefault(host, set()).update(map(int, names))
            else:
                world.foreign_gpus.setdefault(host, set()).update(int(n.rpartition("-")[2]) for n in names)


def touches_only_its_own(planner: Planner, case: Case) -> None:
    """Two projects on the same hosts: neither names, stops or collides with what the other has."""
    world, chance = case.world(), case.chance()
    other = project_of({n: s | {"env": {}} for n, s in case.after.services.items()}, identity=("other", "2"))
    settle(planner, case.before, world, chance)
    mine = running(world)
    theirs = planner.plan(other, world, case.after.resolved)
    if errors_of(theirs):
        raise Unplaceable
    Walk(world, theirs.steps, chance.randrange).run()
    assert set(mine.items()) <= set(running(world).items())
    kept = {box.id: box.name for box in world.all_boxes if box.identity != IDENTITY}
    found = planner.plan(case.after.project(), world, case.after.resolved)
    for step in found.steps:
        for operation in (step.operation, *step.on_failure):
            assert getattr(operation, "name", "lab_").startswith("lab_"), step.id
    if not errors_of(found):
        Walk(world, found.steps, chance.randrange).run()
    assert kept == {box.id: box.name for box in world.all_boxes if box.identity != IDENTITY}


def does_not_depend_on_order(planner: Planner, case: Case) -> None:
    """Services and hosts in any order, containers in any order: the same plan."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    found = planner.plan(case.after.project(), world, case.after.resolved)
    for boxes in world.boxes.values():
        items = list(boxes.items())
        chance.shuffle(items)
        boxes.clear()
        boxes.update(items)
    world.gpus = dict(reversed(world.gpus.items()))
    assert planner.plan(case.after.project(chance), world, case.after.resolved) == found


def is_data(planner: Planner, case: Case) -> None:
    """A plan survives JSON, and holds no fingerprint but in the labels that are for them."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    found = planner.plan(case.after.project(), world, case.after.resolved)
    text = json.dumps(to_data(found))
    assert from_data(Plan, json.loads(text)) == found
    for step in found.steps:
        labels = getattr(step.operation, "labels", {})
        left = json.dumps(to_data(step)).replace(json.dumps(labels.get("deployer.secrets", "")), "")
        assert "scrypt:" not in left


def errors_leave_their_services_alone(planner: Planner, case: Case) -> None:
    """What could not be placed keeps what it has: no step stops or removes it."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    found = planner.plan(case.after.project(), world, case.after.resolved)
    wanted = {ReplicaKey(n, i) for n, s in case.after.services.items() for i in range(s["replicas"])}
    down = {n for n, s in case.after.services.items() if s["state"] == "stopped"}
    homeless = {key for key in wanted - {p.key for p in found.placements} if key.service not in down}
    assert not [s.id for s in found.steps if s.key in homeless]
    assert errors_of(found) or not homeless


def needs_come_first(planner: Planner, case: Case) -> None:
    """Steps have ids of their own, come after what they need, and every step has its host."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    found = planner.plan(case.after.project(), world, case.after.resolved)
    seen: set[str] = set()
    for step in found.steps:
        assert step.id not in seen
        assert seen.issuperset(step.needs), step.id
        assert step.host in world.boxes
        seen.add(step.id)


def removes_all_of_its_own(planner: Planner, case: Case) -> None:
    """After a destroy nothing of the project is left, and everything of others."""
    world, chance = case.world(), case.chance()
    settle(planner, case.before, world, chance)
    other = project_of({"web": {"placement": {"gpus": "none"}}}, identity=("other", "2"))
    Walk(world, planner.plan(other, world, case.before.resolved).steps, chance.randrange).run()
    theirs = {box.id for box in world.all_boxes if box.identity != IDENTITY}
    found = planner.destroy(case.after.project(), world)
    Walk(world, found.steps, chance.randrange).run()
    assert {box.id for box in world.all_boxes} == theirs
    assert planner.destroy(case.after.project(), world).steps == ()


LAWS: tuple[Law, ...] = (
    reaches_what_is_asked, survives_a_crash, keeps_healthy_replicas, survives_failures,
    one_failure_costs_no_healthy_replica, stops_first_only_where_it_must, goes_back_as_a_whole,
    a_failure_after_a_crash_costs_no_healthy_replica,
    leaves_the_untouched_alone, moves_nothing_that_was_not_edited,
    drift_is_put_right, touches_only_its_own, does_not_depend_on_order, is_data, errors_leave_their_services_alone,
    needs_come_first, removes_all_of_its_own,
)  # fmt: skip


__all__ = ["LAWS", "Box", "Law", "Unplaceable", "plan_for"]
