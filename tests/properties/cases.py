"""Random projects and worlds for the properties of plans."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from deployer.planning.planner import plan
from deployer.planning.questions import questions
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.plan import Plan
from deployer.values.resolved import Resolved
from tests.properties.world import World

MODEL = "/srv/models/m.gguf"
SERVICES = ("api", "chat", "docs")

services = st.fixed_dictionaries(
    {
        "model": st.just("m"),
        "backend": st.just("llama.cpp"),
        "replicas": st.integers(0, 3),
        "options": st.fixed_dictionaries({"context_length": st.sampled_from([1024, 2048, 4096])}),
        "placement": st.fixed_dictionaries(
            {
                "gpus": st.sampled_from(["none", "none", 1, 2, "auto"]),
                "strategy": st.sampled_from(["spread", "binpack"]),
            }
        ),
        "port": st.sampled_from([None, None, 8001, 8002]).map(lambda n: {} if n is None else {"number": n}),
        "rollout": st.fixed_dictionaries(
            {
                "max_unavailable": st.integers(1, 2),
                "keep_revisions": st.integers(0, 2),
                "strategy": st.sampled_from(["rolling", "rolling", "rolling", "recreate"]),
            }
        ),
    }
)
specs = st.dictionaries(st.sampled_from(SERVICES), services, min_size=1, max_size=3)
worlds = st.builds(
    World,
    gpus=st.fixed_dictionaries({"h1": st.integers(0, 3), "h2": st.integers(0, 3)}),
    foreign_ports=st.fixed_dictionaries({}, optional={"h1": st.sets(st.sampled_from([8001, 20000]), max_size=2)}),
    foreign_gpus=st.fixed_dictionaries({}, optional={"h2": st.sets(st.just(0), max_size=1)}),
)


def project_of(settings: dict[str, Any], hosts: tuple[str, ...] = ("h1", "h2")) -> Project:
    data = {
        "version": 1,
        "project": "lab",
        "id": "1",
        "hosts": {name: {"connection": "local", "ports": "20000-20020"} for name in hosts},
        "models": {"m": {"source": f"file://{MODEL}"}},
        "services": settings,
    }
    return Project(DeploySpec.model_validate(data), "deploy.yaml", {}, written=settings)


def plan_for(project: Project, world: World) -> Plan:
    paths = {path for of_host in questions(project).values() for path in of_host}
    return plan(project, world.observe(paths), Resolved())


def errors_of(found: Plan) -> list[str]:
    return [p.code for p in found.problems if p.severity == "error"]
