"""The exact `docker run` of each case: a spec, and in its `x-placed` what placement decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deployer import backends
from deployer.docker.commandline import render_docker_run
from deployer.planning.image_tags import version_of
from deployer.planning.own_help import Known
from deployer.planning.render import RenderRequest, render_container, render_setup
from deployer.planning.render_flags import flag_problems
from deployer.planning.render_template import builtin_template
from deployer.spec.load import load
from deployer.spec.project import Project
from deployer.values.container import ContainerSpec
from deployer.values.operations import AwaitReady, Endpoint, EnsureSetup
from deployer.view.setup_text import setup_text
from tests.conftest import Golden
from tests.support.rendering import model_facts, placed_request

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*/*.yaml"))


def base_of(project: Project, name: str) -> str:
    pin = project.spec.backends.get(name)
    return base_of(project, pin.extends) if pin is not None and pin.extends is not None else name


def parts_of(location: str, placed: dict[str, Any]) -> list[str]:
    parts: list[str] = placed.get("parts", [])
    return parts if location in parts else []


def request_of(path: Path) -> RenderRequest:
    project = load([str(path)], lambda name: Path(name).read_bytes())
    placed: dict[str, Any] = yaml.safe_load(path.read_text())["x-placed"]
    service = next(iter(project.spec.services.values()))
    models = [project.spec.models[alone.model or ""] for alone in service.each()]
    own = [entry.category for entry in service.models] or [None]
    facts = [model_facts(m.location, parts_of(m.location, placed), m.scheme) for m in models]
    categories = [category or model.category or "llm" for category, model in zip(own, models, strict=True)]
    return placed_request(
        project,
        base_of(project, service.backend or ""),
        gpus=placed.get("gpus", ()),
        port=placed["port"],
        model=facts[0],
        category=categories[0],
        draft=model_facts(placed["draft"]) if "draft" in placed else None,
        others=tuple(zip(facts[1:], categories[1:], strict=True)),
    )


def render_case(path: Path) -> ContainerSpec:
    return render_container(request_of(path))


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_docker_run(path: Path, golden: Golden) -> None:
    request, name = request_of(path), f"lab_{path.stem}_0_0123456789ab"
    at = Endpoint("127.0.0.1", request.placed.port or 0)
    ready = AwaitReady(name, at, request.backend.api.health, 1.0, 1.0)
    tasks = [EnsureSetup(name, at, task) for task in render_setup(request)]
    text = render_docker_run(render_container(request), name) + setup_text(ready, tasks)
    for program in set(request.backend.files.values()):
        text = text.replace(builtin_template(program), f"(templates/{program})\n")
    golden.check(f"contract/backends/golden/{path.parent.name}/{path.stem}.txt", text)


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_flag_is_one_that_the_version_has(path: Path) -> None:
    request = request_of(path)
    service = request.service.model_copy(update={"args": render_container(request).command})
    version = version_of(service, request.image, request.backend)
    found = {problem.code for problem in flag_problems(Known(request.backend, version), service)}
    assert found <= {"flag-taken"}  # an option may be in its place


def test_every_case_belongs_to_a_backend_and_every_golden_to_a_case() -> None:
    assert {path.parent.name for path in CASES} <= set(backends.names())
    goldens = {(p.parent.name, p.stem) for p in (HERE / "golden").glob("*/*.txt")}
    assert goldens == {(p.parent.name, p.stem) for p in CASES}
