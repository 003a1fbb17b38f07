"""Gives a replica what its backend needs once the server answers, and asks whether it has it. Each task can be done
twice: it is asked first, and once more after it was done."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from deployer.docker.calls import Refusal, engine_calls
from deployer.engine.container_log import last_line, last_lines
from deployer.engine.context import ApplyContext, Site, Transports, failed
from deployer.engine.fanout import on_each
from deployer.engine.model_http import BrokenOff, Question, Reply, exchange
from deployer.engine.watch import Watch
from deployer.errors import DeployerError
from deployer.values.canonical import digest
from deployer.values.codec import to_data
from deployer.values.events import Event
from deployer.values.plan import EnsureSetup, SetupQuestion
from deployer.values.setup import ExecCall, HttpCall

CHECK_TIMEOUT = 15.0
LOOK_EVERY, SAY_EVERY = 0.5, 10.0


def ensure_setup(operation: EnsureSetup, site: Site) -> str:
    """OperationError `setup-failed` with what the server said, where a task cannot be done."""
    if is_done(operation, site):
        return "was so already"
    for call in operation.task.do:
        match call:
            case HttpCall():
                _send(operation, call, site)
            case ExecCall():
                _run(operation, call, site)
    if not is_done(operation, site):
        raise _failed(operation, site, "was done, and is not there all the same")
    return ""


def is_done(operation: EnsureSetup, site: Site) -> bool:
    task = operation.task
    reply = _exchange(operation, task.check, CHECK_TIMEOUT, site)
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


def _exchange(operation: EnsureSetup, call: HttpCall, timeout: float, site: Site) -> Reply:
    question = Question(operation.name, operation.endpoint, call.method, call.path, call.body, timeout)
    try:
        return exchange(question, site)
    except TimeoutError:
        raise _failed(operation, site, f"got no answer from {call.path} within {timeout:g} s") from None
    except BrokenOff as error:
        raise _failed(operation, site, f"was broken off at {call.path}: {error}") from None


def _send(operation: EnsureSetup, call: HttpCall, site: Site) -> None:
    reply = _exchange(operation, call, operation.task.timeout, site)
    said = _error_in(reply.body)
    if said is None and 200 <= reply.status < 300:
        return
    words = site.words(said if said is not None else reply.body)
    raise _failed(operation, site, f"was refused by the server: HTTP {reply.status}", words)


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


def _run(operation: EnsureSetup, call: ExecCall, site: Site) -> None:
    """The program's words go wherever the program sends them; only its exit code comes back."""
    docker, timeout = site.transport.docker(), operation.task.timeout
    try:
        with engine_calls(site.host):
            id_ = docker.exec_create(operation.name, list(call.argv), stdout=False, stderr=False)["Id"]
            docker.exec_start(id_, detach=True)
    except Refusal as refusal:
        raise site.refused(refusal, "run a program in", operation.name) from None
    code = _exit_code(operation, id_, site, timeout)
    if code is None:
        raise _failed(operation, site, f"is not done after {timeout:g} s")
    if code != 0:
        raise _failed(operation, site, f"failed: `{call.argv[0]}` exited with code {code}")


def _exit_code(operation: EnsureSetup, id_: str, site: Site, timeout: float) -> int | None:
    clock = site.context.clock
    began = said = clock()
    while clock() - began < timeout:
        try:
            with engine_calls(site.host):
                state: Any = site.transport.docker().exec_inspect(id_)
        except Refusal as refusal:
            raise site.refused(refusal, "look at a program in", operation.name) from None
        if not state.get("Running"):
            return int(state.get("ExitCode") or 0)
        if clock() - said >= SAY_EVERY:
            said = clock()
            site.watch.waiting(said - began, timeout, last_line(site, operation.name)[1])
        site.watch.pause(LOOK_EVERY)
    return None


def _failed(operation: EnsureSetup, site: Site, what: str, words: str = "") -> DeployerError:
    evidence = (*((words,) if words else ()), *last_lines(site, operation.name, 10))
    hint = "correct the model or its options as the server says"
    return failed("setup-failed", f"{operation.task.name} {what}", hint, evidence, site.host)
