"""Facts say at a glance whose projects are on each host."""

from __future__ import annotations

import json

from deployer.errors import Diagnostic
from deployer.values.facts import DockerFacts, HostFacts, ObservedContainer, ObservedState, Unreachable
from deployer.values.facts_json import facts_from_data
from deployer.view.facts import facts_json
from deployer.view.json_text import render_json


def container(name: str, project: str | None, id: str | None) -> ObservedContainer:
    return ObservedContainer(name, name, "i", "sha256:1", "running", labelled_project=project, labelled_id=id)


def test_every_project_is_listed_whoever_owns_it() -> None:
    containers = (
        container("a", "lab", "1"), container("b", "lab", "2"), container("c", "lab", "1"), container("d", None, None),
        container("e", "demo", ""), container("f", "demo", None),
    )  # fmt: skip
    host = HostFacts(
        "gpu-a", "a", "Debian", "6", "x86_64", 0, 0, "root", 2, 1, 1, "", DockerFacts("27", "1.47"),
        containers=containers,
    )  # fmt: skip
    observed = ObservedState({"gpu-a": host, "gpu-b": Unreachable("gpu-b", Diagnostic("x", "x", host="gpu-b"))})
    data = json.loads(render_json(facts_json(observed, "0")))
    assert data["projects"] == {
        "gpu-a": [
            {"project": "demo", "id": None, "containers": 2},
            {"project": "lab", "id": "1", "containers": 2},
            {"project": "lab", "id": "2", "containers": 1},
        ]
    }
    assert facts_from_data(data) == observed
