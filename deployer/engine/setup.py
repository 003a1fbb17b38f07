"""Gives a replica what its backend needs once the server answers, and asks whether it has it. Each task can be done
twice: it is asked first, and once more after it was done."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from deployer.dataclass import dataclass
from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.container_log import last_line, last_lines
from deployer.engine.context import ApplyContext, Site, Transports
from deployer.engine.endings import ended_since
from deployer.engine.failed_container import explained
from deployer.engine.fanout import on_each
from deployer.engine.model_http import BrokenOff, Question, Reply, exchange
from deployer.engine.ownership import find
from deployer.engine.watch import Watch
from deployer.errors import DeployerError, Diagnostic, OperationError
from deployer.values.canonical import digest
from deployer.values.codec import to_data
from deployer.values.events import Event
from deployer.values.facts import ObservedContainer
from deployer.values.operations import EnsureSetup, SetupQuestion
from deployer.values.setup import ExecCall, HttpCall

CHECK_TIMEOUT = 15.0
NOT_RUNNING = (404, 409)  # what Docker answers where the container does not run (any more)
LOOK_EVERY, SAY_EVERY = 0.5, 10.0


def ensure_setup(operation: EnsureSetup, site: Site) -> str:
    """OperationError `setup-failed` with what the server said, where a task cannot be done; `died-on-request`."""
    if is_done(operation, site):
        return "was so already"
    container = find(site, operation.name, None)
    if container is None:
        raise _failed(operation, site, "cannot be done: its container is gone")
    doing = Doing(operation, site, container)
    for call in operation.task.do:
        match call:
            case HttpCall():
                doing.send(call)
            case ExecCall():
                doing.run(call)
    if not is_done(operation, site):
        raise _failed(operation, site, "was done, and is not there all the same")
    return ""


def is_done(operation: EnsureSetup, site: Site) -> bool:
    task = operation.task
    try:
        reply = _exchange(operation, task.check, CHECK_TIMEOUT, site)
    except BrokenOff as error:
        raise _broken(operation, task.check, site, error) from None
    text = reply.body.decode("utf-8", "replace")
    return 200 <= reply.status < 300 and all(re.search(pattern, text) for pattern in task.expect)


def ask_setup(
    questions: Iterable[SetupQuestion], context: ApplyContext, transports: Transports, report: Callable[[Event], object]
) -> Mapping[str, Mapping[str, bool]]:
    """By container id and digest of the task. What cannot be asked is left out."""
    by_host: dict[str, list[SetupQuestion]] = {}
    for question in questions:
        by_host.setdefault(question.host, []).append(question)

    def ask(host: str) -> dict[str, dict[str, bool]]:
        site = Site(context, transports[host], Watch("plan", host, "look at its setup", report, threading.Event()))
        found: dict[str, dict[str, bool]] = {}
        for question in by_host[host]:
            try:
                done = is_done(question.operation, site)
            except DeployerError:
                continue
            found.setdefault(question.container, {})[digest(to_data(question.operation.task))] = done
        return found

    answers: dict[str, dict[str, bool]] = {}
    for answer in on_each(by_host, ask).values():
        if isinstance(answer, dict):
            answers |= answer
    return answers


@dataclass(frozen=True, slots=True)
class Doing:
    """One task's calls; `before`: its container when they began."""

    operation: EnsureSetup
    site: Site
    before: ObservedContainer

    def send(self, call: HttpCall) -> None:
        operation, site = self.operation, self.site
        try:
            reply = _exchange(operation, call, operation.task.timeout, site)
        except BrokenOff as error:
            died = ended_since(site, operation.name, self.before, f"while it was given {operation.task.name}")
            raise OperationError(died) if died is not None else _broken(operation, call, site, error) from None
        said = _error_in(reply.body)
        if said is None and 200 <= reply.status < 300:
            return
        words = site.words(said if said is not None else reply.body)
        raise _failed(operation, site, f"was refused by the server: HTTP {reply.status}", words)

    def run(self, call: ExecCall) -> None:
        """The program's words go wherever the program sends them; only its exit code comes back."""
        site, name, timeout = self.site, self.operation.name, self.operation.task.timeout
        try:
            with engine_calls(site.host):
                docker = site.changing()
                id_ = docker.exec_create(self.before.id, list(call.argv), stdout=False, stderr=False)["Id"]
                docker.exec_start(id_, detach=True)
        except Refusal as refusal:
            if refusal.status in NOT_RUNNING:
                raise _failed(self.operation, site, "cannot be done: its container ended") from None
            raise site.refused(refusal, "run a program in", name) from None
        code = self._exit_code(id_)
        if code is None:
            raise _failed(self.operation, site, f"is not done after {timeout:g} s")
        if code != 0:
            raise _failed(self.operation, site, f"failed: `{call.argv[0]}` exited with code {code}")

    def _exit_code(self, id_: str) -> int | None:
        """None when it still runs at the end of the task's time."""
        site, name, timeout = self.site, self.operation.name, self.operation.task.timeout
        clock = site.context.clock
        began = said = clock()
        while clock() - began < timeout:
            try:
                with engine_calls(site.host):
                    state: Any = site.transport.docker().exec_inspect(id_)
            except Refusal as refusal:
                raise site.refused(refusal, "look at a program in", name) from None
            if not state.get("Running"):
                return int(state.get("ExitCode") or 0)
            if clock() - said >= SAY_EVERY:
                said = clock()
                site.watch.waiting(said - began, timeout, last_line(site, name)[1])
            site.watch.pause(LOOK_EVERY)
        return None


def _exchange(operation: EnsureSetup, call: HttpCall, timeout: float, site: Site) -> Reply:
    """OperationError where no answer came in time, BrokenOff where the connection ended."""
    question = Question(operation.name, operation.endpoint, call.method, call.path, call.body, timeout)
    try:
        return exchange(question, site)
    except TimeoutError:
        raise _failed(operation, site, f"got no answer from {call.path} within {timeout:g} s") from None


def _error_in(body: bytes) -> str | None:
    """Servers that answer line by line say 200 first and what went wrong later."""
    for line in body.splitlines()[-1:]:
        try:
            data: Any = json.loads(line)
        except ValueError:
            return None
        if isinstance(data, dict) and data.get("error"):
            return str(data["error"])
    return None


def _broken(operation: EnsureSetup, call: HttpCall, site: Site, error: BrokenOff) -> DeployerError:
    return _failed(operation, site, f"was broken off at {call.path}: {error}")


def _failed(operation: EnsureSetup, site: Site, what: str, words: str = "") -> DeployerError:
    evidence = (*((words,) if words else ()), *last_lines(site, operation.name, 10))
    hint = "correct the model or its options as the server says"
    told = Diagnostic("setup-failed", f"{operation.task.name} {what}", evidence=evidence, hint=hint, host=site.host)
    return OperationError(explained(site, operation.name, told))
