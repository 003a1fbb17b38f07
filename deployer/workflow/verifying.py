"""Verify: every running replica is sent the request that an apply sends, and its answer is judged."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue

from deployer.engine.context import ApplyContext, Site
from deployer.engine.model_request import probe
from deployer.engine.watch import Watch
from deployer.errors import DeployerError, Diagnostic
from deployer.planning.choice import built_in_backends
from deployer.planning.readiness import probes_of_found
from deployer.planning.replicas import Found, found_replicas
from deployer.spec.language import DeploySpec
from deployer.values.answers import ReplicaAnswer
from deployer.values.facts import ObservedState
from deployer.values.names import ReplicaKey
from deployer.workflow.session import Report, Session

AT_ONCE = 64
Meant = Sequence[tuple[ReplicaKey, Found | None]]  # None: it does not run


def replicas_named(spec: DeploySpec, observed: ObservedState, names: Sequence[str]) -> Meant:
    """The replicas that the spec wants or that run, of services or replicas by name; None where none runs.

    DeployerError for a name that means nothing.
    """
    found = found_replicas(observed)
    wanted = {ReplicaKey(n, i) for n, s in spec.services.items() if s.state == "running" for i in range(s.replicas)}
    running = {key: next((i for i in items if i.container.status == "running"), None) for key, items in found.items()}
    every = sorted(wanted | {key for key, item in running.items() if item is not None})
    for name in names:
        if not any(name in (key.service, str(key)) for key in every):
            there = ", ".join(f"`{n}`" for n in sorted({key.service for key in every})) or "none"
            message = f"`{name}` names no service and no replica; there are {there}"
            raise DeployerError(Diagnostic("no-such-replica", message, hint="check the name"))
    meant = [key for key in every if not names or key.service in names or str(key) in names]
    return [(key, running.get(key)) for key in meant]


def verify(
    session: Session, meant: Sequence[tuple[ReplicaKey, Found | None]], report: Report
) -> Iterator[ReplicaAnswer]:
    """One answer for each replica, as they come."""
    todo: SimpleQueue[tuple[ReplicaKey, Found | None]] = SimpleQueue()
    done: SimpleQueue[ReplicaAnswer | Exception] = SimpleQueue()
    for item in meant:
        todo.put(item)

    def work() -> None:
        while True:
            try:
                key, item = todo.get_nowait()
            except Empty:
                return
            try:
                done.put(_answer(session, key, item, report))
            except Exception as error:
                done.put(error)

    for number in range(min(AT_ONCE, len(meant))):
        threading.Thread(target=work, name=f"verify {number}", daemon=True).start()
    for _ in meant:
        answer = done.get()
        if isinstance(answer, Exception):
            raise answer
        yield answer


def _answer(session: Session, key: ReplicaKey, item: Found | None, report: Report) -> ReplicaAnswer:
    spec, began = session.project.spec, time.monotonic()
    if item is None:
        message = f"replica `{key}` does not run"
        return ReplicaAnswer(
            key, "", "", 0.0, problem=Diagnostic("not-running", message, hint="`deployer status` tells why")
        )
    operations = probes_of_found(spec, item)
    if not operations:
        what = Diagnostic("cannot-ask", f"replica `{key}` is of no service that the spec knows", hint="apply first")
        return ReplicaAnswer(key, item.host, item.container.name, 0.0, problem=what)
    built_in = built_in_backends(spec)
    context = ApplyContext(spec.project, spec.id, "", session.secrets, spec.registries, built_in=built_in)
    watch = Watch(str(key), item.host, f"ask {key}", report)
    try:
        said = [probe(operation, Site(context, session.fleet[item.host], watch)) for operation in operations]
    except DeployerError as error:
        return ReplicaAnswer(
            key, item.host, item.container.name, time.monotonic() - began, problem=error.diagnostics[0]
        )
    named = [f"{operation.models[0]}: {text}" for operation, text in zip(operations, said, strict=True)]
    answer = said[0] if len(said) == 1 else "; ".join(named)
    return ReplicaAnswer(key, item.host, item.container.name, time.monotonic() - began, answer)
