"""Images that nobody wrote are judged by the policy too, once they are chosen."""

from __future__ import annotations

import pytest

from deployer.errors import Severity
from tests.unit.planning.scene import CPU, Scene

LATEST = {"backends": {"llama.cpp": {"image": "reg.local/llama"}}}
SERVICES = {"chat": {"placement": CPU, "replicas": 2}, "other": {"placement": CPU, "image": "reg.local/llama:b7"}}


@pytest.mark.parametrize(
    ("policy", "severity"), [({"deny": ["latest-tag"]}, Severity.ERROR), ({"warn": ["latest-tag"]}, Severity.WARNING)]
)
def test_an_image_of_the_backend_is_judged_once_for_its_service(policy: dict[str, object], severity: Severity) -> None:
    plan = Scene({"h1": 0, "h2": 0}, sections={**LATEST, "policy": policy}).plan(SERVICES)
    (found,) = [p for p in plan.problems if p.code == "latest-tag"]
    assert found.severity is severity
    assert "`chat` runs image `reg.local/llama`, without a tag" in found.message
    assert found.hint


def test_without_the_rule_nothing_is_said() -> None:
    plan = Scene({"h1": 0, "h2": 0}, sections=LATEST).plan(SERVICES)
    assert [p.code for p in plan.problems if p.code == "latest-tag"] == []
