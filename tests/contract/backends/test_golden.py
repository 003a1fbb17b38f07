"""The exact `docker run` of each case: a spec, and in its `x-placed` what placement decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deployer import backends
from deployer.docker.commandline import render_docker_run
from deployer.planning.render import render_container
from deployer.spec.load import load
from deployer.spec.project import Project
from deployer.values.container import ContainerSpec
from tests.conftest import Golden
from tests.support.rendering import model_facts, placed_request

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*/*.yaml"))


def base_of(project: Project, name: str) -> str:
    pin = project.spec.backends.get(name)
    return base_of(project, pin.extends) if pin is not None and pin.extends is not None else name


def render_case(path: Path) -> ContainerSpec:
    project = load([str(path)], lambda name: Path(name).read_bytes())
    placed: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text())["x-placed"]
    service = next(iter(project.spec.services.values()))
    model = project.spec.models[service.model or ""]
    request = placed_request(
        project,
        base_of(project, service.backend or ""),
        gpus=placed.get("gpus", ()),
        port=placed["port"],
        model=model_facts(model.location, placed.get("parts", ())),
        category=model.category or "llm",
        draft=model_facts(placed["draft"]) if "draft" in placed else None,
    )
    return render_container(request)


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_docker_run(path: Path, golden: Golden) -> None:
    text = render_docker_run(render_case(path), f"lab_{path.stem}_0_0123456789ab")
    golden.check(f"contract/backends/golden/{path.parent.name}/{path.stem}.txt", text)


def test_every_case_belongs_to_a_backend_and_every_golden_to_a_case() -> None:
    assert {path.parent.name for path in CASES} <= set(backends.names())
    goldens = {(p.parent.name, p.stem) for p in (HERE / "golden").glob("*/*.txt")}
    assert goldens == {(p.parent.name, p.stem) for p in CASES}
