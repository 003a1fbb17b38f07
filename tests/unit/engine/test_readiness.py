"""What a wait sees of a container that no test host shows at will: restarts, replacement, silent loading."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deployer.engine.context import ApplyContext, Site
from deployer.engine.model_http import is_up, status_of
from deployer.engine.readiness import LOST_WITHIN, VITALS_EVERY, Wait, await_ready
from deployer.engine.secret_sources import SourceReader
from deployer.engine.secrets import SecretStore
from deployer.engine.watch import Watch
from deployer.errors import Diagnostic, DockerError, OperationError, UnreachableError
from deployer.spec.language import Host
from deployer.transport.local import LocalTransport
from deployer.values.events import Event, StepWaiting
from deployer.values.operations import AwaitReady, Endpoint
from tests.support.fakeengine import FakeContainer
from tests.support.fakehost import FakeHost

NAME = "p_chat_0_0123456789ab"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def container(host: FakeHost) -> FakeContainer:
    made = host.engine_state.create(NAME, {"Image": "stub:1", "Env": ["MODE=silent"]})
    host.engine_state.start(NAME)
    return made


def site(host: FakeHost, clock: Clock | None = None, events: list[Event] | None = None) -> Site:
    secrets = SecretStore({}, SourceReader(Path(), {}), {})
    context = ApplyContext("p", None, "a1", secrets, clock=clock or Clock())
    return Site(context, host, Watch("s", "here", "wait", (events if events is not None else []).append))


def waiting(timeout: float = 100.0, stall: float = 100.0) -> AwaitReady:
    return AwaitReady(NAME, Endpoint("127.0.0.1", 1), "/health", timeout, stall)


class Meanwhile(Clock):
    """Time stands still; `then` happens once, after the wait's first look at the container."""

    def __init__(self, then: Callable[[], object]) -> None:
        self._then, self._asked = then, 0

    def __call__(self) -> float:
        self._asked += 1
        if self._asked == 2:  # the first time is when the wait begins
            self._then()
        return self.now


def failure(host: FakeHost, then: Callable[[], object]) -> Diagnostic:
    """How a wait ends when `then` happens during it."""
    with pytest.raises(OperationError) as caught:
        await_ready(waiting(), site(host, Meanwhile(then)))
    return caught.value.diagnostic


def test_a_restart_between_two_looks_is_seen(host: FakeHost, container: FakeContainer) -> None:
    def restarts() -> None:
        container.restarts = 1

    found = failure(host, restarts)
    assert found.code == "container-exited"
    assert "1 restarts so far" in found.message


def test_restarts_of_the_past_count_for_nothing(host: FakeHost, container: FakeContainer) -> None:
    container.restarts = 3
    found = failure(host, lambda: host.engine_state.remove(NAME, force=True))
    assert found.code == "container-missing"


def test_another_container_under_the_name(host: FakeHost, container: FakeContainer) -> None:
    def replaced() -> None:
        with host.engine_state.lock:
            container.name = "away"
            host.engine_state.create(NAME, {"Image": "stub:1"})

    assert failure(host, replaced).code == "container-moved"


def test_one_that_was_never_started(host: FakeHost) -> None:
    host.engine_state.create(NAME, {"Image": "stub:1"})
    with pytest.raises(OperationError) as caught:
        await_ready(waiting(), site(host))
    assert caught.value.diagnostic.code == "not-started"


def test_bytes_read_are_a_sign_of_loading_where_the_log_is_silent(host: FakeHost, container: FakeContainer) -> None:
    clock = Clock()
    wait = Wait(waiting(timeout=1e6, stall=50.0), site(host, clock))
    for _ in range(20):
        clock.now += VITALS_EVERY
        container.bytes_read += 5 << 20
        wait.note("connection refused")
        wait.check_limits()
    for _ in range(20):
        clock.now += VITALS_EVERY
        wait.note("connection refused")
    with pytest.raises(OperationError) as caught:
        wait.check_limits()
    assert caught.value.diagnostic.code == "stalled"


def test_a_change_of_what_the_port_says_is_a_sign_of_loading(host: FakeHost, container: FakeContainer) -> None:
    clock = Clock()
    wait = Wait(waiting(timeout=1e6, stall=50.0), site(host, clock))
    for number in range(20):
        clock.now += 40.0
        wait.note(f"HTTP 50{number % 2}")
        wait.check_limits()


def test_a_wait_speaks_after_a_second_then_every_ten_and_at_each_new_line(
    host: FakeHost, container: FakeContainer
) -> None:
    clock, events = Clock(), list[Event]()
    wait = Wait(waiting(), site(host, clock, events))
    for _ in range(120):
        clock.now += 0.25
        if clock.now == 15.0:
            container.log.append(("2026-01-01T00:00:00Z", "loading shard 2 of 4"))
        wait.note("HTTP 503")
    said = [event for event in events if isinstance(event, StepWaiting)]
    assert [event.seconds for event in said] == [1.0, 11.0, pytest.approx(15.0, abs=2.0), pytest.approx(25.0, abs=2.0)]
    assert said[2].last_line == "loading shard 2 of 4"


LOST = UnreachableError(Diagnostic("connection-lost", "host `here` closed the connection"))


def test_a_host_that_is_lost_for_a_moment_ends_no_wait(host: FakeHost, container: FakeContainer) -> None:
    clock, events = Clock(), list[Event]()
    wait = Wait(waiting(timeout=1e6), site(host, clock, events))
    for _ in range(3):
        wait.bear(LOST)
        clock.now += LOST_WITHIN / 4
    assert wait.sign == clock.now - LOST_WITHIN / 4, "a lost host is no stall"
    assert [e.last_line for e in events if isinstance(e, StepWaiting)] == [f"({LOST.diagnostic.message})"] * 3


def test_a_host_that_stays_lost_ends_it(host: FakeHost, container: FakeContainer) -> None:
    clock = Clock()
    wait = Wait(waiting(timeout=1e6), site(host, clock))
    wait.bear(LOST)
    clock.now += LOST_WITHIN + 1
    with pytest.raises(UnreachableError):
        wait.bear(LOST)


def test_the_time_limit_holds_while_it_is_lost(host: FakeHost, container: FakeContainer) -> None:
    clock = Clock()
    wait = Wait(waiting(timeout=10.0), site(host, clock))
    clock.now += 11.0
    with pytest.raises(UnreachableError):
        wait.bear(LOST)


def test_a_container_that_dockers_restart_ended_is_told_from_one_that_failed(
    host: FakeHost, container: FakeContainer
) -> None:
    wait = Wait(waiting(), site(host))
    wait.check_container()
    wait.bear(DockerError(Diagnostic("docker-down", "no Docker")))
    host.engine_state.stop(NAME)
    with pytest.raises(OperationError) as caught:
        wait.check_container()
    assert "Docker was away meanwhile" in caught.value.diagnostic.message
    assert caught.value.diagnostic.hint == "apply again"


class Dripping(threading.Thread):
    """Accepts one connection and answers it byte by byte, for ever."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(daemon=True)
        self.answer, self.over = answer, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.start()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.listener.getsockname()[1])

    def run(self) -> None:
        connection, _ = self.listener.accept()
        with contextlib.suppress(OSError), connection:
            connection.sendall(self.answer)
            while not self.over.wait(0.05):
                connection.sendall(b"x")

    def end(self) -> None:
        self.over.set()
        self.listener.close()


def test_a_server_that_wants_a_key_is_up() -> None:
    assert [status for status in (200, 204, 301, 401, 403, 404, 500, 503) if is_up(status)] == [200, 204, 401, 403]


def here() -> LocalTransport:
    return LocalTransport("here", Host.model_validate({"connection": "local"}))


def test_an_answer_that_never_ends_is_not_waited_for() -> None:
    server = Dripping(b"HTTP/1.1 200 OK\r\n\r\n")
    assert status_of(here(), server.endpoint, "/health", 30.0) == 200
    server.end()


def test_headers_that_drip_are_no_answer() -> None:
    server = Dripping(b"HTTP/1.1 200 OK\r\nX-Odd: ")
    with pytest.raises(TimeoutError):
        status_of(here(), server.endpoint, "/health", 0.3)
    server.end()
