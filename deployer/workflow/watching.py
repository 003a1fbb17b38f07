"""Watch: looks at the project's replicas again and again and brings back those that served and do not any more.

Applies no edit of the spec, and does nothing while somebody else applies.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable

from deployer.engine.interrupt import InterruptFlag
from deployer.errors import DeployerError, Diagnostic, InterruptedByUser, RefusedError, Severity
from deployer.planning.repair import Fleet, Patience, Start, Strikes, fleet, holder_of, may_still_load
from deployer.planning.replicas import found_replicas
from deployer.spec.project import Project
from deployer.values.events import ApplyResult, Event
from deployer.values.names import ReplicaKey
from deployer.values.plan import Change
from deployer.values.watching import Told
from deployer.workflow.inputs import Inputs
from deployer.workflow.orders import Orders
from deployer.workflow.session import Planned, Session

LOOKS = 3  # in a row at which a replica does not serve before it is started anew
DEFAULT_DELAY = 300.0  # seconds; of a service that the spec does not know any more
Tell = Callable[[Told], object]


class Watching:
    """What is remembered from one look to the next: nothing of it is written down anywhere."""

    def __init__(self, inputs: Inputs, tell: Tell, interrupt: InterruptFlag) -> None:
        self._inputs, self._tell, self._interrupt = inputs, tell, interrupt
        self._known: set[ReplicaKey] = set()
        self._patience, self._strikes = Patience(), Strikes(LOOKS)
        self._said: set[Told] = set()

    def keep_on(self, interval: float) -> None:
        """Raises InterruptedByUser in the end."""
        orders = Orders(_silent, self._interrupt)
        while True:
            began = time.monotonic()
            self.look()
            orders.pause(max(1.0, began + interval - time.monotonic()))

    def look(self) -> None:
        """One look, and what follows from it. What goes wrong is told, once for as long as it lasts."""
        news: list[Told] = []
        try:
            with Session.open(self._inputs, _silent) as session:
                news = self._look(session)
        except (InterruptedByUser, KeyboardInterrupt):
            raise
        except RefusedError as error:
            news = [_about(Told("busy", error.diagnostics[0].message), error.diagnostics[0])]
        except DeployerError as error:
            news = [_about(Told("problem", d.message, host=d.host), d) for d in error.diagnostics]
        self._tell_once(news)

    def _look(self, session: Session) -> list[Told]:
        planned = session.plan(asks_hubs=False)
        if (holder := holder_of(session.project.spec.project, planned.observed)) is not None:
            return [Told("busy", f"{holder} is applying; nothing is brought back meanwhile")]
        session.stuck = self._stuck(session, planned)
        if session.stuck:
            planned = session.plan(known=planned.observed, asks_hubs=False)
        seen = fleet(planned.plan, planned.observed, self._known)
        self._remember(session.project, seen)
        news = [_left_alone(change) for change in seen.edited]
        news += [_about(Told("problem", p.message, host=p.host), p) for p in planned.plan.problems if _is_error(p)]
        due = [change for change in seen.down if self._patience.may(change.key, time.monotonic())]
        if due and not planned.plan.has_errors:
            self._repair(session, planned, due)
        return news

    def _stuck(self, session: Session, planned: Planned) -> frozenset[Start]:
        """Containers that were asked in vain at several looks in a row, and had the time to load before that."""
        health, silent = session.health(planned), {}
        for items in found_replicas(planned.observed).values():
            for item in items:
                said = health.get(item.container.name, "ready")
                if said != "ready" and not may_still_load(session.project.spec, item):
                    silent[item.container.id, item.container.started_at] = said
        self._strikes.note(silent)
        return self._strikes.out

    def _remember(self, project: Project, seen: Fleet) -> None:
        self._known |= seen.serving
        for key in seen.serving:
            self._patience.served(key, time.monotonic(), most_delay(project, key))

    def _repair(self, session: Session, planned: Planned, due: list[Change]) -> None:
        """An apply of just these replicas."""
        session.only = frozenset(change.key for change in due)
        narrowed = session.plan(known=planned.observed)
        for change in due:
            self._tell(Told("repairing", "; ".join(r.message for r in change.reasons), str(change.key), change.host))
        began = time.monotonic()
        try:
            result = session.apply(narrowed, Orders(_silent, self._interrupt))
        except RefusedError as error:
            if error.diagnostics[0].code != "hosts-moved":  # the next look sees how
                self._tell(_about(Told("busy", error.diagnostics[0].message), error.diagnostics[0]))
            return
        for change in due:
            self._known.add(change.key)
            again = self._patience.tried(
                change.key, time.monotonic(), most_delay(session.project, change.key), random.random()
            )
            self._tell(_outcome(change, result, time.monotonic() - began, again))

    def _tell_once(self, news: Iterable[Told]) -> None:
        fresh = set(news)
        for told in sorted(fresh - self._said, key=lambda t: (t.kind, t.why)):
            self._tell(told)
        self._said = fresh


def most_delay(project: Project, key: ReplicaKey) -> float:
    service = project.spec.services.get(key.service)
    return service.restart_backoff.max_delay if service is not None else DEFAULT_DELAY


def _outcome(change: Change, result: ApplyResult, seconds: float, again: float) -> Told:
    key = str(change.key)
    failed = [f.diagnostic for f in result.failed if f"/{key}/" in f.step or f.host == change.host]
    found = [*failed, *(p for p in result.problems if _is_error(p))]
    if result.is_ok or not found:
        return Told("repaired", "", key, change.host, seconds)
    return Told("failed", found[0].message, key, change.host, seconds, again, found[0])


def _left_alone(change: Change) -> Told:
    why = "does not serve, and its spec was edited since: see `deployer plan`"
    return Told("left-alone", why, str(change.key), change.host)


def _about(told: Told, problem: Diagnostic) -> Told:
    return Told(told.kind, told.why, told.replica, told.host, problem=problem)


def _is_error(problem: Diagnostic) -> bool:
    return problem.severity is Severity.ERROR


def _silent(event: Event) -> None:
    """What happens inside an attempt is in the hosts' journals; a watch tells how it ended."""
