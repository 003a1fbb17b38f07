"""Whether a container sees its GPUs, by the exit code of a program in it."""

from __future__ import annotations

import pytest

from deployer.engine import gpu_sight
from deployer.engine.gpu_sight import has_lost_gpus
from tests.contract.operations.bench import Bench


def asked(bench: Bench, name: str, *argv: str) -> bool | None:
    return has_lost_gpus(bench.transport, name, argv)


@pytest.mark.parametrize(("code", "is_lost"), [(0, False), (255, True), (9, False)])
def test_the_code_tells(bench: Bench, code: int, is_lost: bool) -> None:
    assert asked(bench, bench.running(), "prepare", str(code), "0.1") is is_lost


def test_an_image_without_the_program_says_nothing(bench: Bench) -> None:
    assert has_lost_gpus(bench.transport, bench.running()) is False


def test_a_container_that_is_not_there_says_nothing(bench: Bench) -> None:
    assert asked(bench, "lab_gone_0_000000000000", "prepare", "255", "0") is False


def test_a_program_that_hangs_is_not_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_sight, "WITHIN", 1.0)
    assert asked(bench, bench.running(), "prepare", "255", "5") is None
