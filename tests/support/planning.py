"""Projects to plan for, written as data, and plans of them for a `World`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployer.planning.planner import plan
from deployer.planning.questions import questions
from deployer.spec.language import DeploySpec
from deployer.spec.project import Project
from deployer.values.plan import Plan
from deployer.values.resolved import Resolved
from tests.support.world import IDENTITY, World

MODEL = "/srv/models/m.gguf"


def project_of(
    services: Mapping[str, Any], hosts: Mapping[str, Any] | None = None, identity: tuple[str, str | None] = IDENTITY,
    **sections: Any,
) -> Project:  # fmt: skip
    """Services with `model: m` and `backend: llama.cpp` unless they say otherwise, on hosts `h1` and `h2`."""
    usual = {name: {} if "models" in service else {"model": "m"} for name, service in services.items()}
    written = {name: {"backend": "llama.cpp", **usual[name], **service} for name, service in services.items()}
    data = {
        "version": 1,
        "project": identity[0],
        "hosts": {"h1": {}, "h2": {}} if hosts is None else dict(hosts),
        "models": {"m": {"source": f"file://{MODEL}"}},
        "services": {name: {k: v for k, v in s.items() if v is not None} for name, s in written.items()},
    } | sections
    if identity[1] is not None:
        data["id"] = identity[1]
    data["hosts"] = {n: {"connection": "local", "ports": "20000-20020", **h} for n, h in data["hosts"].items()}
    return Project(
        DeploySpec.model_validate(data),
        "deploy.yaml",
        {},
        written={name: {"service": service} for name, service in written.items()},
    )


def plan_for(project: Project, world: World, resolved: Resolved | None = None) -> Plan:
    paths = {path for of_host in questions(project).values() for path in of_host}
    seen = world.observe(paths, (project.spec.project, project.spec.id or ""))
    return plan(project, seen, resolved or Resolved())


def errors_of(found: Plan) -> list[str]:
    return [p.code for p in found.problems if p.severity == "error"]
