"""Waits until a backend says that it serves, and sees early that it never will. Changes no container."""

from __future__ import annotations

import http.client
from dataclasses import field
from typing import Any

from deployer.dataclass import dataclass, replace
from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.container_log import last_line, last_lines, service_of
from deployer.engine.context import Site, failed
from deployer.engine.failed_container import ended, explained
from deployer.engine.model_http import is_up, status_of
from deployer.engine.ownership import look, moved
from deployer.errors import Diagnostic, DockerError, HostError, OperationError
from deployer.values.facts import ObservedContainer
from deployer.values.operations import AwaitReady, Endpoint

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0  # seconds between two rounds
ASK_TIMEOUT = 5.0
LOG_EVERY = 2.0
SAY_FIRST, SAY_EVERY = 1.0, 10.0
VITALS_EVERY = 10.0
LOST_WITHIN = 60.0  # seconds a host may be out of reach during a wait: a flapping network, a Docker that restarts
VITAL_BYTES = 1 << 20  # read since the last look: it still loads
ENDED = ("exited", "dead", "restarting", "removing")


def await_ready(operation: AwaitReady, site: Site) -> str:
    """Returns once the health path answered. OperationError: `container-exited`, `stalled`, `not-ready`, ..."""
    wait = Wait(operation, site)
    pause = FIRST_PAUSE
    while not _is_ready(wait):
        site.watch.pause(pause)
        pause = min(LONGEST_PAUSE, pause * 1.3)
    site.context.serving.add((site.host, operation.name))
    return ""


def _is_ready(wait: Wait) -> bool:
    """One round. A host that is lost for a moment while a model loads is no failure of the model."""
    operation, site = wait.operation, wait.site
    try:
        wait.check_container()
        symptom = ask_health(site, operation.endpoint, operation.path)
        if symptom is None:
            wait.check_container()
            return True
        wait.note(symptom)
        wait.check_limits()
        wait.lost = None
    except HostError as error:
        wait.bear(error)
    return False


def ask_health(site: Site, endpoint: Endpoint, path: str) -> str | None:
    """None when it serves; otherwise what is seen of it, in a few words.

    A published port accepts connections before the server listens: then they are reset or end without an answer.
    """
    try:
        status = status_of(site.transport, endpoint, path, ASK_TIMEOUT)
    except TimeoutError:
        return "no answer in time"
    except ConnectionRefusedError:
        return "connection refused"
    except (OSError, http.client.HTTPException):
        return "connection closed without an answer"
    return None if is_up(status) else f"HTTP {status}"


@dataclass(slots=True)
class Wait:
    """What was seen so far. Times are the clock's, in seconds."""

    operation: AwaitReady
    site: Site
    began: float = field(init=False)
    sign: float = field(init=False)  # when something last moved
    said: float | None = None
    looked_at_log: float | None = None
    looked_at_vitals: float = field(init=False)
    vitals: int | None = None
    symptom: str = ""
    line: tuple[str, str] = ("", "")
    first: ObservedContainer | None = None
    lost: float | None = None  # since when the host cannot be asked
    docker_was_away: bool = False

    def __post_init__(self) -> None:
        self.began = self.sign = self.looked_at_vitals = self._now

    @property
    def _now(self) -> float:
        return self.site.context.clock()

    def check_container(self) -> None:
        """It runs, it is still the same one, and Docker has not restarted it since the wait began."""
        name = self.operation.name
        container = look(self.site, name)
        if container is None:
            raise failed("container-missing", f"container `{name}` is no longer there", "apply again")
        first = self.first = self.first or container
        if container.id != first.id:
            raise moved(self.site, name, container)
        if container.status in ENDED or container.restarts > first.restarts:
            raise OperationError(self._ended(container))
        if container.status == "created":
            raise failed("not-started", f"container `{name}` was never started", "apply again")

    def _ended(self, container: ObservedContainer) -> Diagnostic:
        found = ended(self.site, container, "container-exited", "before it was ready")
        if not self.docker_was_away or container.oom_killed:
            return found
        message = f"{found.message}; Docker was away meanwhile, and ends containers when it restarts"
        return replace(found, message=message, hint="apply again")

    def note(self, symptom: str) -> None:
        """Takes in this round, and says what is waited for when it is time to."""
        now = self._now
        if symptom != self.symptom:
            self.symptom, self.sign = symptom, now
        changed = self._look_at_log(now)
        self._look_at_vitals(now)
        elapsed = now - self.began
        due = elapsed >= SAY_FIRST if self.said is None else changed or now - self.said >= SAY_EVERY
        if due:
            self.said = now
            self.site.watch.waiting(elapsed, self.operation.timeout, self.line[1])

    def bear(self, error: HostError) -> None:
        """Raises the error once the host has been lost for LOST_WITHIN; the connection is made anew meanwhile."""
        now = self._now
        self.lost = now if self.lost is None else self.lost
        self.docker_was_away |= isinstance(error, DockerError)
        if now - self.lost > LOST_WITHIN or now - self.began > self.operation.timeout:
            raise error
        self.sign = now
        self.site.watch.waiting(now - self.began, self.operation.timeout, f"({error.diagnostic.message})")

    def check_limits(self) -> None:
        now, operation = self._now, self.operation
        if now - self.sign > operation.stall_timeout:
            what = f"shows no sign of loading for {operation.stall_timeout:g} s"
            raise self._gave_up("stalled", what, "raise `health.stall_timeout` if it needs longer")
        if now - self.began > operation.timeout:
            what = f"is not ready after {operation.timeout:g} s"
            raise self._gave_up("not-ready", what, "raise `health.ready_timeout` if it needs longer")

    def _gave_up(self, code: str, what: str, hint: str) -> OperationError:
        last = f"last seen at port {self.operation.endpoint.port}{self.operation.path}: {self.symptom}"
        evidence = (last, *last_lines(self.site, self.operation.name))
        service = service_of(self.operation.name)
        found = Diagnostic(
            code, f"container `{self.operation.name}` {what}", evidence=evidence, hint=f"{service}: {hint}"
        )
        return OperationError(explained(self.site, self.operation.name, found))

    def _look_at_log(self, now: float) -> bool:
        if self.looked_at_log is not None and now - self.looked_at_log < LOG_EVERY:
            return False
        self.looked_at_log = now
        line = last_line(self.site, self.operation.name)
        if line == self.line:
            return False
        self.line, self.sign = line, now
        return True

    def _look_at_vitals(self, now: float) -> None:
        """A server may load for long without a word: what it reads from disk or network is a sign of life too."""
        if now - max(self.sign, self.looked_at_vitals) < VITALS_EVERY:
            return
        self.looked_at_vitals = now
        vitals = bytes_read(self.site, self.operation.name)
        if self.vitals is not None and vitals is not None and vitals - self.vitals >= VITAL_BYTES:
            self.sign = now
        self.vitals = vitals


def bytes_read(site: Site, container: str) -> int | None:
    """From disk and network since its start; None where the host does not count."""
    try:
        with engine_calls(site.host):
            stats: Any = site.transport.docker().stats(container, stream=False, one_shot=True)
    except Refusal:
        return None
    blocks = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    networks = (stats.get("networks") or {}).values()
    disk = sum(b.get("value", 0) for b in blocks if str(b.get("op", "")).lower() == "read")
    return int(disk + sum(n.get("rx_bytes", 0) for n in networks))
