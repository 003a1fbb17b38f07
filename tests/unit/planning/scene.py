"""A spec's hosts and their world, to plan for once or several times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from deployer.planning.planner import plan, plan_destroy
from deployer.planning.questions import questions
from deployer.spec.project import Project
from deployer.values.facts import HostFacts, ObservedContainer, ObservedState
from deployer.values.plan import Placement, Plan
from deployer.values.resolved import Resolved, Unresolved
from tests.support.planning import project_of
from tests.support.walk import Walk
from tests.support.world import Box, World

Services = Mapping[str, Mapping[str, Any]]
CPU = {"gpus": "none"}
EDIT = {"options": {"context_length": 4096}}
STOPPED = {"state": "stopped"}


@dataclass
class Scene:
    """`gpus` by host; `hosts` are settings of the spec's hosts; `seen` changes the facts of a host before they are
    planned with; `secret` is the value of the secret `key`, None where it is not at hand."""

    gpus: dict[str, int]
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)
    seen: Callable[[HostFacts], HostFacts] = lambda facts: facts
    secret: str | None = "one"
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.world = World(self.gpus)

    def project(self, services: Services) -> Project:
        hosts = {name: self.hosts.get(name, {}) for name in self.gpus}
        return project_of(services, hosts, **{"secrets": {"key": {"env": "KEY"}}} | self.sections)

    def plan(self, services: Services) -> Plan:
        known = Unresolved("not at hand") if self.secret is None else f"scrypt:{self.secret}"
        project = self.project(services)
        return plan(project, self.observed(project), Resolved({"key": known}, self.said()))

    def said(self) -> dict[str, dict[str, bool]]:
        """What running containers answer about their setup: yes to what was done in them, no to all else."""
        return {box.id: _Done(box.setup) for box in self.world.all_boxes if box.status == "running"}

    def observed(self, project: Project) -> ObservedState:
        asked = {path for paths in questions(project).values() for path in paths}
        state = self.world.observe(asked)
        return ObservedState({name: self.seen(facts) for name, facts in state.hosts.items()})  # type: ignore[arg-type]

    def apply(self, services: Services) -> Plan:
        found = self.plan(services)
        assert not found.has_errors, found.problems
        Walk(self.world, found.steps).run()
        return found

    def destroy(self, services: Services) -> Plan:
        project = self.project(services)
        return plan_destroy(project, self.observed(project))

    def box(self, name: str) -> Box:
        """The only container of a replica, as `chat-0`."""
        (found,) = [box for box in self.world.all_boxes if str(box.key) == name]
        return found

    def where(self, services: Services) -> dict[str, str]:
        """Replica -> `host`, or `host:GPU indexes`, of a new plan."""
        return placements_of(self.plan(services))


class _Done(dict[str, bool]):
    def __init__(self, done: set[str]) -> None:
        super().__init__(dict.fromkeys(done, True))

    def get(self, task: str, default: object = None) -> bool:  # type: ignore[override]
        return task in self


def placements_of(found: Plan) -> dict[str, str]:
    return {str(p.key): _place(p) for p in found.placements}


def _place(placement: Placement) -> str:
    (member,) = placement.members
    cards = ",".join(uuid.rpartition("-")[2] for uuid in member.gpus)
    return f"{member.host}:{cards}" if cards else member.host


def ports_of(found: Plan) -> dict[str, int | None]:
    return {str(p.key): p.members[0].port for p in found.placements}


def refusals_of(found: Plan) -> list[str]:
    """The evidence of the only error, which is that a replica fits nowhere."""
    (problem,) = [p for p in found.problems if p.severity == "error"]
    assert problem.code == "no-placement"
    return list(problem.evidence)


def hint_of(found: Plan) -> str | None:
    (problem,) = [p for p in found.problems if p.severity == "error"]
    return problem.hint


def with_others(*others: ObservedContainer, host: str = "h1", **changes: Any) -> Callable[[HostFacts], HostFacts]:
    """Adds containers of others to a host, and changes its facts."""

    def change(facts: HostFacts) -> HostFacts:
        if facts.name != host:
            return facts
        return replace(facts, containers=facts.containers + others, **changes)

    return change


def a_stranger(name: str = "other", **changes: Any) -> ObservedContainer:
    return ObservedContainer(f"id-{name}", name, "some/image", "sha256:1", "running", **changes)
