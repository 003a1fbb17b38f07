"""What an apply that was killed left behind, and what a host says of it: the next plan's steps."""

from __future__ import annotations

import json

from deployer.values.operations import CreateContainer, RemoveContainer
from tests.support.planning import plan_for, project_of
from tests.support.world import World


def left_after_create() -> World:
    world = World({"h1": 0})
    for step in plan_for(project_of({"chat": {}}, hosts={"h1": {}}), world).steps:
        world.perform(step.host, step.operation)
        if isinstance(step.operation, CreateContainer):
            break
    return world


def test_a_leftover_that_is_created_anew_is_not_removed_once_more() -> None:
    world = left_after_create()
    (left,) = world.all_boxes
    found = plan_for(project_of({"chat": {}}, hosts={"h1": {}}), world)
    assert [s.operation.name for s in found.steps if isinstance(s.operation, CreateContainer)] == [left.name]
    assert not [s for s in found.steps if isinstance(s.operation, RemoveContainer)]


def test_a_leftover_of_another_revision_is_removed_in_the_end() -> None:
    world = left_after_create()
    (left,) = world.all_boxes
    found = plan_for(project_of({"chat": {"args": ["--x"]}}, hosts={"h1": {}}), world)
    removed = [s.operation.id for s in found.steps if isinstance(s.operation, RemoveContainer)]
    assert removed == [left.id]


def test_an_image_that_one_host_names_runs_on_no_other() -> None:
    """Labels say which image was decided; a host can forge them."""
    world = World({"h1": 0, "h2": 0})
    before = project_of({"chat": {"placement": {"hosts": ["h1"]}}})
    for step in plan_for(before, world).steps:
        world.perform(step.host, step.operation)
    (box,) = world.all_boxes
    box.labels["deployer.decisions"] = json.dumps(json.loads(box.labels["deployer.decisions"]) | {"image": "evil:1"})
    here = plan_for(before, world)
    assert {s.operation.spec.image for s in here.steps if isinstance(s.operation, CreateContainer)} <= {"evil:1"}
    there = plan_for(project_of({"chat": {"placement": {"hosts": ["h2"]}}}), world)
    images = [s.operation.spec.image for s in there.steps if isinstance(s.operation, CreateContainer)]
    assert images == [box.spec.image]
