"""Whatever dies, whenever: one more apply finishes the job, and what served before serves on."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest
from labkit.blows import EDITS, FAULTS, Blow, at_random, every_boundary
from labkit.hosts import Lab
from labkit.project import Project
from labkit.soak import Soak

from tests.support.hub import Hub

KILLS = int(os.environ.get("SOAK_KILLS", "200"))
SEED = int(os.environ.get("SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


@pytest.fixture
def soak(lab: Lab, project: Project) -> Iterator[Soak]:
    hub = Hub((f"{lab.network}.1", 0))
    soak = Soak(lab, project, hub)
    soak.begin()
    yield soak
    hub.close()


def struck(soak: Soak, *blows: Blow) -> None:
    began = time.monotonic()
    soak.suffer(blows)
    print(f"{', '.join(map(str, blows))}: whole after {time.monotonic() - began:.1f} s", flush=True)


@pytest.mark.heavy
def test_a_kill_in_the_middle_must_be_set_right_by_one_more_apply(soak: Soak) -> None:
    struck(soak, Blow("chat", "kill", "lab1", 10))


@pytest.mark.heavy
@pytest.mark.parametrize("edit", EDITS)
def test_a_kill_at_every_step_must_be_set_right_by_one_more_apply(soak: Soak, edit: str) -> None:
    for blow in every_boundary(soak.lines_of(edit), edit):
        struck(soak, blow)


@pytest.mark.heavy
@pytest.mark.parametrize("fault", sorted(set(FAULTS)))
def test_each_fault_in_the_middle_must_be_set_right_by_one_more_apply(soak: Soak, fault: str) -> None:
    for lines in (4, 8, 12):
        struck(soak, Blow("all", fault, "lab1", lines, heals=2.0))


@pytest.mark.heavy
def test_random_kills_must_be_set_right_by_one_more_apply(lab: Lab, soak: Soak) -> None:
    """Goes on after what is wrong, from a clean slate: one defect must not hide the others."""
    print(f"SOAK_SEED={SEED} SOAK_KILLS={KILLS}", flush=True)
    wrong, done = [], 0
    for blows in at_random(SEED):
        if done >= KILLS:
            break
        done += len(blows)
        print(f"{done}/{KILLS} ", end="")
        try:
            struck(soak, *blows)
        except AssertionError as error:
            wrong.append(f"{done}: {', '.join(map(str, blows))}")
            print(f"WRONG {wrong[-1]}\n{error}\n{soak.state()}", flush=True)
            lab.up()
            lab.reset()
            soak.begin()
    soak.project.must_be_settled()
    assert wrong == []
