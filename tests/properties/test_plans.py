"""Laws of plans, over random projects, worlds, orders of steps, crashes and failures."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from deployer.spec.project import Project
from deployer.values.plan import Action, Cause, Plan
from tests.properties.cases import errors_of, plan_for, project_of, specs, worlds
from tests.properties.world import Box, Walk, World

EXAMPLES = int(os.environ.get("DEPLOYER_EXAMPLES", "60"))
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def is_as_asked(project: Project, world: World) -> list[str]:
    """What in the world is not what the spec asks: written without any part of the planner."""
    wrong = []
    wanted = {
        (name, index): service
        for name, service in project.spec.services.items()
        for index in range(service.replicas)
        if service.state == "running"
    }
    running: dict[tuple[str, int], list[Box]] = {}
    stopped: dict[tuple[str, int], int] = {}
    for boxes in world.boxes.values():
        for box in boxes.values():
            key = (box.key.service, box.key.index)
            if box.status == "created":
                wrong.append(f"{box.name} was never started")
            elif box.holds:
                running.setdefault(key, []).append(box)
            else:
                stopped[key] = stopped.get(key, 0) + 1
    for key in sorted(set(wanted) | set(running)):
        boxes_here = running.get(key, [])
        if len(boxes_here) != (key in wanted):
            wrong.append(f"{key} runs {len(boxes_here)} times")
        elif key in wanted:
            wrong += differences(wanted[key], boxes_here[0])
    for key, count in stopped.items():
        keep = wanted[key].rollout.keep_revisions if key in wanted else 0
        if count > keep:
            wrong.append(f"{key} keeps {count} old containers")
    return wrong


def differences(service: Any, box: Box) -> list[str]:
    wrong = []
    text = " ".join(box.spec.command)
    if (
        f"-c {service.options.context_length}" not in text
        and f"--ctx-size {service.options.context_length}" not in text
    ):
        wrong.append(f"{box.name} has another context: {text}")
    if service.port.number is not None and [p.host for p in box.spec.ports] != [service.port.number]:
        wrong.append(f"{box.name} has another port")
    gpus = service.placement.gpus
    if gpus != "auto" and len(box.spec.gpus) != (0 if gpus == "none" else gpus):
        wrong.append(f"{box.name} has {len(box.spec.gpus)} GPUs")
    if box.restart != "always":
        wrong.append(f"{box.name} would not come back after a reboot")
    return wrong


def walk(world: World, found: Plan, data: st.DataObject, stop_after: int | None = None) -> None:
    def watch() -> None:
        for service in found.rollout:
            ready = world.ready(service.service)
            assert ready >= service.min_ready, f"{service.service}: {ready} ready, promised {service.min_ready}"

    choose = data.draw(st.randoms(use_true_random=False)).randrange
    Walk(world, found.steps, choose, watch if stop_after is None else lambda: None).run(stop_after)


def placeable(project: Project, world: World) -> Plan:
    found = plan_for(project, world)
    assume(not errors_of(found))
    return found


@thorough
@given(worlds, specs, specs, st.data())
def test_a_plan_reaches_the_desired_world_and_the_next_plan_is_empty(world, before, after, data) -> None:
    for written in (before, after):
        project = project_of(written)
        walk(world, placeable(project, world), data)
        assert is_as_asked(project, world) == []
        again = plan_for(project, world)
        assert again.steps == ()
        assert not again.pending


@thorough
@given(worlds, specs, specs, st.integers(0, 12), st.data())
def test_after_a_crash_at_any_step_one_more_plan_converges(world, before, after, steps, data) -> None:
    first, second = project_of(before), project_of(after)
    walk(world, placeable(first, world), data)
    walk(world, placeable(second, world), data, stop_after=steps)
    found = plan_for(second, world)
    assert errors_of(found) == [], "what was placed before the crash is placed after it"
    walk(world, found, data)
    assert is_as_asked(second, world) == []
    assert plan_for(second, world).steps == ()


@thorough
@given(worlds, specs, specs, st.data())
def test_a_successor_that_never_answers_costs_no_healthy_replica(world, before, after, data) -> None:
    first, second = project_of(before), project_of(after)
    walk(world, placeable(first, world), data)
    old = {box.id for boxes in world.boxes.values() for box in boxes.values()}
    world.bad = lambda box: box.id not in old
    found = placeable(second, world)
    walk(world, found, data)
    gone = {c.key for c in found.changes if c.action is Action.REMOVE}
    for service, settings_ in before.items():
        removed = sum(key.service == service for key in gone)
        assert world.ready(service) >= settings_["replicas"] - removed
    for boxes in world.boxes.values():
        assert not [b.name for b in boxes.values() if b.status == "created"]
    world.bad = lambda box: False
    walk(world, plan_for(second, world), data)
    assert is_as_asked(second, world) == []


@thorough
@given(worlds, specs, specs, st.data())
def test_an_untouched_replica_gets_no_step(world, before, after, data) -> None:
    walk(world, placeable(project_of(before), world), data)
    found = plan_for(project_of(after), world)
    kept = {c.key for c in found.changes if c.action is Action.KEEP or c.cause is Cause.DEFAULT}
    assert not [s.id for s in found.steps if s.key in kept]


@thorough
@given(worlds, specs)
def test_others_containers_never_appear(world, written) -> None:
    found = plan_for(project_of(written), world)
    names = [getattr(op, "name", "lab_") for s in found.steps for op in (s.operation, *s.on_failure)]
    assert all(name.startswith("lab_") for name in names)


@thorough
@given(worlds, specs, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(world, written, shuffled) -> None:
    names, hosts = list(written), ["h1", "h2"]
    shuffled.shuffle(names)
    shuffled.shuffle(hosts)
    same = project_of({name: written[name] for name in names}, tuple(hosts))
    assert plan_for(project_of(written), world) == plan_for(same, world)
