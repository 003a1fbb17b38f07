"""Watch: looks at the project's replicas again and again and brings back those that served and do not any more.

Applies no edit of the spec, and does nothing while somebody else applies.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable

from deployer.engine.interrupt import InterruptFlag
from deployer.errors import DeployerError, Diagnostic, InterruptedByUser, RefusedError, Severity
from deployer.planning.patience import Patience, Start, Strikes
from deployer.planning.repair import Fleet, Known, fleet, holder_of, may_still_load, tolerant
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
LOST = "has lost its GPUs; it is started anew if that stays"
IN_ERROR = "is down; not brought back while the plan has errors"
Tell = Callable[[Told], object]


class Watching:
    """What is remembered from one look to the next: nothing of it is written down anywhere."""

    def __init__(self, inputs: Inputs, tell: Tell, interrupt: InterruptFlag) -> None:
        self._inputs, self._tell, self._interrupt = inputs, tell, interrupt
        self._known = Known()
        self._has_looked = False
        self._patience, self._strikes = Patience(), Strikes(LOOKS)
        self._unasked: set[Start] = set()  # containers in which nvidia-smi hangs
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
        session.project = tolerant(session.project)
        planned = session.plan(asks_hubs=False)
        if (holder := holder_of(session.project.spec.project, planned.observed)) is not None:
            return [Told("busy", f"{holder} is applying; nothing is brought back meanwhile")]
        self._known.hosts(session.project, planned.observed)
        session.stuck, blind = self._stuck(session, planned)
        if session.stuck:
            planned = session.plan(known=planned.observed, asks_hubs=False)
        seen = fleet(planned.plan, planned.observed, self._known)
        self._remember(session.project, seen)
        news = [*blind, *(_left_alone(change, why) for change, why in seen.left), *_problems(planned)]
        if planned.plan.has_errors:
            return news + [_left_alone(change, IN_ERROR) for change in seen.down]
        due = [change for change in seen.down if self._patience.may(change.key, time.monotonic())]
        return news + self._repair(session, planned, due) if due else news

    def _stuck(self, session: Session, planned: Planned) -> tuple[frozenset[Start], list[Told]]:
        """Containers that were asked in vain at several looks in a row, and had the time to load before that; and what
        is to be told of those that lost their GPUs."""
        health, silent, blind = session.health(planned), {}, []
        lost = session.gpu_losses(planned, self._unasked)
        self._unasked |= {start for start, said in lost.items() if said is None}
        for key, items in found_replicas(planned.observed).items():
            for item in items:
                start = item.container.id, item.container.started_at
                said = LOST if lost.get(start) else health.get(item.container.name, "ready")
                blind += [Told("problem", LOST, str(key), item.host)] if said == LOST else []
                if said != "ready" and not may_still_load(session.project.spec, item):
                    silent[start] = said
        self._strikes.note(silent, time.monotonic())
        return self._strikes.out, blind

    def _remember(self, project: Project, seen: Fleet) -> None:
        self._known.saw(seen)
        if not self._has_looked:
            self._has_looked, count = True, len(seen.serving)
            self._tell(Told("serving", f"{count} replica{'' if count == 1 else 's'}"))
        for key in seen.serving:
            self._patience.served(key, time.monotonic(), most_delay(project, key))

    def _repair(self, session: Session, planned: Planned, due: list[Change]) -> list[Told]:
        """An apply of just these replicas; returns why there is none."""
        session.only = frozenset(change.key for change in due)
        narrowed = session.plan(known=planned.observed)
        if narrowed.plan.has_errors:
            return _problems(narrowed) + [_left_alone(change, IN_ERROR) for change in due]
        for change in due:
            self._tell(Told("repairing", "; ".join(r.message for r in change.reasons), str(change.key), change.host))
            most = most_delay(session.project, change.key)
            self._patience.tried(change.key, time.monotonic(), most, random.random())
        began = time.monotonic()
        result = self._applied(session, narrowed, due)
        for change in due:
            again = self._patience.ended(change.key, time.monotonic())
            if result is not None:
                self._tell(_outcome(change, result, time.monotonic() - began, again))
        return []

    def _applied(self, session: Session, narrowed: Planned, due: list[Change]) -> ApplyResult | None:
        """None where it came to no end, which is told."""
        self._known.replicas |= {change.key for change in due}
        try:
            result = session.apply(narrowed, Orders(_silent, self._interrupt, watches=True))
        except RefusedError as error:
            if error.diagnostics[0].code != "hosts-moved":  # the next look sees how
                self._tell(_about(Told("busy", error.diagnostics[0].message), error.diagnostics[0]))
            return None
        except InterruptedByUser:
            raise
        except DeployerError as error:
            for problem in error.diagnostics:
                self._tell(_about(Told("problem", problem.message, host=problem.host), problem))
            return None
        return result

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


def _left_alone(change: Change, why: str) -> Told:
    return Told("left-alone", why, str(change.key), change.host)


def _problems(planned: Planned) -> list[Told]:
    """What keeps a plan from being done, and the hosts that cannot be asked."""
    dark = [host.reason for host in planned.observed.unreachable.values()]
    found = [*dark, *(p for p in planned.plan.problems if _is_error(p))]
    return [_about(Told("problem", p.message, host=p.host), p) for p in found]


def _about(told: Told, problem: Diagnostic) -> Told:
    return Told(told.kind, told.why, told.replica, told.host, problem=problem)


def _is_error(problem: Diagnostic) -> bool:
    return problem.severity is Severity.ERROR


def _silent(event: Event) -> None:
    """What happens inside an attempt is in the hosts' journals; a watch tells how it ended."""
