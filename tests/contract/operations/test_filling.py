"""X must let an image fetch its own model, say what went wrong, and leave no container of that behind."""

from __future__ import annotations

import threading

import pytest

from deployer.engine.context import Site
from deployer.engine.filling import fill_cache
from deployer.engine.watch import Abandoned, Watch
from deployer.errors import OperationError
from deployer.values.container import ContainerSpec
from deployer.values.events import StepWaiting
from deployer.values.names import ReplicaKey
from deployer.values.transfers import FillCache
from tests.contract.operations.bench import IMAGE, Bench, labels_for

REVISION = "0123456789ab"
NAME = f"suite_chat_0_{REVISION}"


def fill(bench: Bench, *command: str, timeout: float = 30.0, watch: Watch | None = None) -> str:
    labels = {**labels_for(ReplicaKey("chat", 0), REVISION), "deployer.role": "task"}
    operation = FillCache(NAME, ContainerSpec(IMAGE, command=command, restart="no"), labels, timeout)
    return fill_cache(operation, Site(bench.context, bench.transport, watch or Watch("fill", "here", "fill")))


def test_it_runs_to_its_end_and_is_gone(bench: Bench) -> None:
    said: list[object] = []
    assert fill(bench, "sleep", "1", watch=Watch("fill", "here", "fill", said.append)) == ""
    assert bench.names() == set()
    assert any(isinstance(event, StepWaiting) for event in said)


@pytest.mark.parametrize(("command", "timeout"), [(("no-such-program",), 30.0), (("sleep", "60"), 1.0)])
def test_what_does_not_end_well_is_said_and_gone(bench: Bench, command: tuple[str, ...], timeout: float) -> None:
    with pytest.raises(OperationError):
        fill(bench, *command, timeout=timeout)
    assert bench.names() == set()


def test_who_stops_waiting_leaves_nothing(bench: Bench) -> None:
    watch = Watch("fill", "here", "fill", abandoned=threading.Event())
    watch.abandoned.set()
    with pytest.raises(Abandoned):
        fill(bench, "sleep", "60", watch=watch)
    assert bench.names() == set()
