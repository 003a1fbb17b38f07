"""What is made of a pull's messages, and when a pull is given up."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.images import LEAST_BYTES, STALLED_AFTER, Pull, pull_image
from deployer.engine.pull_keeper import Keeper
from deployer.engine.pull_layers import Layers
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.streams import Ended
from deployer.engine.watch import Abandoned, Watch
from deployer.errors import Diagnostic, DockerError, HostError, OperationError, UnreachableError
from deployer.values.events import Event, StepProgress
from deployer.values.transfers import PullImage
from tests.support.fakeengine import FakeImage, FakeRegistry
from tests.support.fakehost import FakeHost

REGISTRY = "registry.lab:5000"
OPERATION = PullImage(f"{REGISTRY}/m:1", REGISTRY)


def heard(*messages: dict[str, Any]) -> Layers:
    layers = Layers()
    for message in messages:
        layers.hear(message)
    return layers


def downloading(layer: str, current: int, total: int) -> dict[str, Any]:
    return {"id": layer, "status": "Downloading", "progressDetail": {"current": current, "total": total}}


def test_bytes_and_layers_add_up() -> None:
    waiting = {"id": "c", "status": "Waiting", "progressDetail": {}}
    layers = heard(
        {"id": "latest", "status": "Pulling from models/m"},
        {"id": "a", "status": "Already exists", "progressDetail": {}},
        downloading("b", 10, 100),
        waiting,
        downloading("b", 60, 100),
    )
    assert (layers.done, layers.total, layers.note) == (60, None, "1 of 3 layers")
    layers.hear(downloading("c", 5, 50))
    assert (layers.done, layers.total) == (65, 150)
    layers.hear({"id": "b", "status": "Download complete", "progressDetail": {}})
    layers.hear({"id": "b", "status": "Pull complete", "progressDetail": {}})
    assert (layers.done, layers.total, layers.note) == (105, 150, "2 of 3 layers")


def test_a_retried_layer_does_not_go_backwards() -> None:
    assert heard(downloading("a", 80, 100), downloading("a", 1, 100)).done == 80


def test_a_layer_too_small_to_be_said_to_be_downloading() -> None:
    layers = heard(
        {"id": "a", "status": "Pulling fs layer", "progressDetail": {}},
        {"id": "a", "status": "Download complete", "progressDetail": {}},
        {"id": "a", "status": "Extracting", "progressDetail": {"current": 7, "total": 7}},
        {"id": "a", "status": "Pull complete", "progressDetail": {}},
    )
    assert layers.total is not None
    assert layers.note == "1 of 1 layers"


@pytest.mark.parametrize(
    "message",
    [{}, {"id": 3, "status": "x"}, {"id": "a"}, {"id": "a", "status": "Downloading", "progressDetail": "x"},
     {"id": "a", "status": "Downloading", "progressDetail": {"current": "x", "total": -1}}],
)  # fmt: skip
def test_odd_messages_count_for_nothing(message: dict[str, Any]) -> None:
    layers = heard(message)
    assert (layers.done, layers.total) == (0, None)


def test_layers_are_bounded() -> None:
    assert len(heard(*(downloading(f"l{n}", 1, 2) for n in range(3000))).total_of) == 1000


# --- a pull that hangs -------------------------------------------------------------------


class Clock:
    def __init__(self, tick: float) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture
def host() -> Iterator[FakeHost]:
    made = FakeHost()
    registry = FakeRegistry({"m:1": FakeImage("sha256:" + "1" * 64)})
    made.engine_state.registries[REGISTRY] = registry
    yield made
    registry.hangs.set()
    made.close()


def site(host: FakeHost, clock: Clock, events: list[Event]) -> Site:
    secrets = SecretStore({}, SourceReader(Path(), {}), {})
    return Site(ApplyContext("p", None, "a1", secrets, clock=clock), host, Watch("s", "here", "pull", events.append))


def test_progress_is_reported_in_bytes(host: FakeHost) -> None:
    events: list[Event] = []
    pull_image(OPERATION, site(host, Clock(1.0), events))
    said = [event for event in events if isinstance(event, StepProgress)]
    assert said[-1].done == said[-1].total == 1024
    assert said[-1].what == "pull, 1 of 1 layers"


def test_a_pull_that_stands_still_is_given_up(host: FakeHost) -> None:
    host.engine_state.registries[REGISTRY].hangs = threading.Event()
    with pytest.raises(OperationError) as caught:
        pull_image(OPERATION, site(host, Clock(STALLED_AFTER), []))
    assert caught.value.diagnostic.code == "pull-stalled"


def test_a_pull_is_abandoned_when_the_user_asks(host: FakeHost) -> None:
    host.engine_state.registries[REGISTRY].hangs = threading.Event()
    place = site(host, Clock(0.0), [])
    threading.Timer(0.3, place.watch.abandoned.set).start()
    with pytest.raises(Abandoned):
        pull_image(OPERATION, place)


# --- a pull that trickles ------------------------------------------------------------------


class Scripted:
    """Pieces of an answer, each so many seconds after the one before."""

    def __init__(self, clock: Clock, seconds: float, messages: list[dict[str, Any]], broken: Exception | None) -> None:
        self.clock, self.seconds, self.messages, self.broken = clock, seconds, messages, broken

    def next(self, seconds: float) -> bytes | None:
        if not self.messages:
            raise Ended(self.broken)
        self.clock.now += self.seconds
        return json.dumps(self.messages.pop(0)).encode()


def pulling(operation: PullImage, place: Site) -> Pull:
    return Pull(operation, place, None, Keeper(place, "/images/create?fromImage=x", {}))


def follow(
    host: FakeHost, seconds: float, messages: list[dict[str, Any]], broken: Exception | None = None
) -> tuple[Pull, float]:
    clock = Clock(0.0)
    pull = pulling(OPERATION, site(host, clock, []))
    pull.follow(Scripted(clock, seconds, messages, broken).next)
    return pull, clock.now


def test_a_pull_that_trickles_is_given_up(host: FakeHost) -> None:
    trickle = [downloading("a", n * 100, 1 << 30) for n in range(1000)]
    with pytest.raises(OperationError) as caught:
        follow(host, 10.0, trickle)
    found = caught.value.diagnostic
    assert found.code == "pull-stalled"
    assert "less than 1 MiB in 5 minutes" in found.message
    assert REGISTRY in str(found.hint)
    assert len(trickle) > 900


def test_a_slow_pull_is_waited_for(host: FakeHost) -> None:
    slow = [downloading("a", n * LEAST_BYTES // 10, 1 << 30) for n in range(200)]
    assert follow(host, 20.0, slow)[1] == 4000.0


def test_a_layer_that_begins_anew_gets_on(host: FakeHost) -> None:
    again = [downloading("a", n * LEAST_BYTES, 1 << 30) for n in (*range(50), *range(50))]
    assert follow(host, 100.0, again)[0].layers.done == 49 * LEAST_BYTES


def test_extracting_counts_whatever_it_takes(host: FakeHost) -> None:
    extracting = {"id": "a", "status": "Extracting", "progressDetail": {"current": 1, "total": 9}}
    assert follow(host, 100.0, [extracting] * 20)[1] == 2000.0


def test_docker_that_tries_again_is_said_to() -> None:
    layers = heard(downloading("a", 5, 10), {"id": "a", "status": "Retrying in 4 seconds", "progressDetail": {}})
    assert layers.note == "0 of 1 layers, retrying in 4 seconds"
    layers.hear(downloading("a", 6, 10))
    assert layers.note == "0 of 1 layers"


@pytest.mark.parametrize(
    ("broken", "code", "says"),
    [
        (UnreachableError(Diagnostic("connection-lost", "lost")), "connection-lost", "lost"),
        (http.client.IncompleteRead(b""), "engine-lost", "the connection was closed"),
        (TimeoutError(), "engine-lost", "no answer in time"),
    ],
)
def test_a_pull_that_breaks_off_says_why(host: FakeHost, broken: Exception, code: str, says: str) -> None:
    with pytest.raises(HostError) as caught:
        follow(host, 1.0, [], broken)
    assert caught.value.diagnostic.code == code
    assert says in caught.value.diagnostic.message


def test_a_docker_that_ends_in_the_middle_has_not_pulled(host: FakeHost) -> None:
    host.engine_state.registries[REGISTRY].breaks_off = True
    with pytest.raises(DockerError) as caught:
        pull_image(OPERATION, site(host, Clock(0.0), []))
    assert caught.value.diagnostic.code == "engine-lost"
    assert "broke off" in caught.value.diagnostic.message


# --- a registry that dies on the way ---------------------------------------------------------


class Hurried(threading.Event):
    """Nobody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += [timeout] if timeout else []
        return self.is_set()


def dying(host: FakeHost, times: int) -> tuple[list[float], list[Event], OperationError | None]:
    host.engine_state.registries[REGISTRY].dies = times
    events: list[Event] = []
    place, hurried = site(host, Clock(1.0), events), Hurried()
    place = replace(place, watch=replace(place.watch, abandoned=hurried))
    try:
        pull_image(OPERATION, place)
    except OperationError as error:
        return hurried.waits, events, error
    return hurried.waits, events, None


@pytest.mark.parametrize("times", [1, 3])
def test_a_registry_that_comes_back_is_waited_for(host: FakeHost, times: int) -> None:
    waits, events, error = dying(host, times)
    assert error is None
    assert waits == [2.0, 4.0, 8.0][:times]
    assert any(isinstance(e, StepProgress) and "does not answer, trying again" in e.what for e in events)


def test_a_registry_that_stays_away_is_given_up_in_the_end(host: FakeHost) -> None:
    waits, _, error = dying(host, 99)
    assert error is not None
    assert error.diagnostic.code == "registry-unreachable"
    assert waits == [2.0, 4.0, 8.0]


def test_a_registry_that_never_answered_is_not_waited_for(host: FakeHost) -> None:
    del host.engine_state.registries[REGISTRY]
    with pytest.raises(OperationError) as caught:
        pull_image(OPERATION, site(host, Clock(1.0), []))
    assert caught.value.diagnostic.code == "registry-unreachable"


def test_bytes_of_all_are_known_before_docker_says_them(host: FakeHost) -> None:
    clock = Clock(1.0)
    events: list[Event] = []
    pull = pulling(replace(OPERATION, size=5000), site(host, clock, events))
    waiting = {"id": "b", "status": "Waiting", "progressDetail": {}}
    pull.follow(Scripted(clock, 1.0, [waiting, downloading("a", 100, 1000)], None).next)
    assert [(e.done, e.total) for e in events if isinstance(e, StepProgress)][-1] == (100, 5000)
