"""Which holds an apply, a rollback, a repair and a destroy leave, by what the session was asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.planning.former import Back
from deployer.transport.base import ConnectOptions
from deployer.transport.fleet import Fleet
from deployer.values.names import ReplicaKey
from deployer.values.records import Hold, ProjectRecord
from deployer.values.resolved import Resolved
from deployer.workflow.holding import holds_after
from deployer.workflow.inputs import Inputs
from deployer.workflow.session import Planned, Session
from tests.unit.planning.scene import CPU, Scene
from tests.unit.view.plans import a_plan

BOTH: dict[str, Any] = {"chat": {"placement": CPU}, "docs": {"placement": CPU}}
HOLDS = tuple(Hold(name, "what it said then", "ada", "", "", "20260101T000000Z00000000") for name in BOTH)


def after(inputs: Inputs, only: frozenset[ReplicaKey] | None = None, **planned: Any) -> list[str]:
    """Of two services that are held, and that the spec says something else of by now."""
    scene = Scene({"h1": 0})
    project = scene.project(BOTH)
    record = ProjectRecord(project.spec.project, project.spec.id or "", HOLDS[0].apply, holds=HOLDS)
    scene.seen = lambda facts: replace(facts, records=(record,))
    observed = scene.observed(project)
    secrets = SecretStore({}, SourceReader(Path("/"), {}), {})
    with Session(project, Fleet(project.spec.hosts, ConnectOptions()), secrets, lambda event: None) as session:
        session.inputs, session.only = inputs, only
        left = holds_after(session, Planned(project, observed, Resolved(), a_plan(), **planned))
    return sorted(hold.service for hold in left)


@pytest.mark.parametrize(
    ("inputs", "left"),
    [
        (Inputs(), []),
        (Inputs(resume=True), []),
        (Inputs(target=("docs",)), ["chat"]),
        (Inputs(target=("docs,chat",), resume=True), []),
        (Inputs(limit=("h1",), resume=True), ["chat", "docs"]),
    ],
)
def test_an_apply_ends_those_of_whole_services_that_it_was_for(inputs: Inputs, left: list[str]) -> None:
    assert after(inputs) == left


def test_a_repair_ends_none() -> None:
    assert after(Inputs(), frozenset({ReplicaKey("chat", 0)})) == ["chat", "docs"]


def test_a_rollback_ends_none() -> None:
    assert after(Inputs(), back=Back({})) == ["chat", "docs"]


def test_what_is_destroyed_is_not_held() -> None:
    assert after(Inputs(), destroy=True) == []
