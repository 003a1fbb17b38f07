"""A boot leaves stopped what Docker was too early for; the plan says so while there is time to set it right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.planning.scene import CPU, Scene

CHAT: dict[str, Any] = {"placement": CPU}
WEIGHTS = "/srv/models"


def said(services: dict[str, Any], *late: str) -> list[str]:
    scene = Scene({"h1": 0})
    scene.seen = lambda facts: replace(facts, late_mounts=late)
    return [problem.message for problem in scene.plan(services).problems if problem.code == "late-mount"]


def test_what_would_stay_down_is_named_once_a_disk() -> None:
    (one,) = said({"chat": CHAT, "docs": CHAT}, WEIGHTS, "/elsewhere")
    stay = "`chat-0`, `docs-0` would stay down after a reboot"
    assert one == f"Docker on host `h1` may start before `{WEIGHTS}` is mounted: {stay}"
    (many,) = said({f"chat{n}": CHAT for n in range(7)}, WEIGHTS)
    assert "`chat4-0` and 2 more would stay down" in many


@pytest.mark.parametrize("late", [(), ("/srv/model",), ("/srv/models/another",)])
def test_disks_with_nothing_of_a_replica_are_not(late: tuple[str, ...]) -> None:
    assert said({"chat": CHAT}, *late) == []


@pytest.mark.parametrize(("restart", "count"), [("always", 1), ("unless-stopped", 1), ("no", 0), ("on-failure", 0)])
def test_what_no_boot_starts_is_not(restart: str, count: int) -> None:
    assert len(said({"chat": CHAT | {"container": {"restart": restart}}}, WEIGHTS)) == count
