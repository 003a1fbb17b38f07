"""What an apply leaves on the hosts at its end, however it ends: records and journals, and no lock.

Decides nothing of what runs there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from deployer.dataclass import dataclass
from deployer.engine.journal import Ending, JournalEntry, journal_parting
from deployer.engine.lease import Leases
from deployer.engine.lock import Holder
from deployer.engine.parting import Parting
from deployer.engine.record_writing import record_parting
from deployer.errors import Diagnostic
from deployer.values.canonical import digest
from deployer.values.codec import to_data
from deployer.values.events import ApplyResult, Event, Note
from deployer.values.plan import Plan
from deployer.values.records import ProjectRecord
from deployer.workflow.commit import commit_of
from deployer.workflow.looking import speaking
from deployer.workflow.session import Planned, Session

Records = Mapping[str, ProjectRecord | None]
STOPPED_WITHIN = 6.0  # seconds that the user's second wish to stop waits for the hosts
STOPPING = "stopping at once: writing journals and giving the locks back; interrupt again to leave this very moment"


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of one apply. `plan` is what was done, `planned` what was asked for."""

    session: Session
    planned: Planned
    plan: Plan
    holder: Holder
    leases: Leases

    def close(self, result: ApplyResult, records: Records, report: Callable[[Event], object]) -> tuple[Diagnostic, ...]:
        """`records`: of the project's hosts, where one is out of date. Returns warnings: of what could not be written,
        and of locks that end by themselves."""
        ending: Ending = "interrupted" if result.interrupted else "done" if result.is_ok else "failed"
        return self._leave(ending, report, records)

    def fail(self, report: Callable[[Event], object]) -> None:
        """The same where the apply itself could not be brought to its end, a last look at the hosts say."""
        self._leave("failed", report, {})

    def _leave(self, ending: Ending, report: Callable[[Event], object], records: Records) -> tuple[Diagnostic, ...]:
        hosts = ", ".join(self.leases.hosts[:8])
        with speaking(report, lambda seconds: f"still ending the apply on {hosts} ({seconds:.0f} s)"):
            return self.leases.release(self._last_words(self._entry(ending), records))

    def stop(self, report: Callable[[Event], object]) -> None:
        """The same in a hurry, with no word on what a host did not take: its lock ends by itself."""

        def leave() -> None:  # whatever of it takes long, be it a spec's folder on a server that is away
            self.leases.release(self._last_words(self._entry("interrupted", "stopped at once: "), {}))

        report(Note(STOPPING))
        leaving = threading.Thread(target=leave, name="leaving", daemon=True)
        leaving.start()
        try:
            leaving.join(STOPPED_WITHIN)
        finally:
            self.leases.forget()  # the way out waits for no host

    def _last_words(self, entry: JournalEntry, records: Records) -> dict[str, list[Parting]]:
        """Records, and an entry in the journals of the hosts that had something to do."""
        found = {host: [record_parting(self.holder, record)] for host, record in records.items()}
        for host in {step.host for step in self.plan.steps}:
            found.setdefault(host, []).append(journal_parting(entry, host))
        return found

    def _entry(self, ending: Ending, before: str = "") -> JournalEntry:
        summary = ", ".join(f"{count} {action}" for action, count in self.plan.summary().items() if count)
        return JournalEntry(
            project=self.holder.project,
            apply=self.holder.apply,
            who=self.holder.who,
            deployer=self.plan.deployer,
            verb="destroy" if self.planned.destroy else "rollback" if self.planned.back is not None else "apply",
            plan=digest(to_data(self.plan)),
            result=ending,
            commit=commit_of(self.session.project.path),
            summary=before + summary,
            changes=changes_by_host(self.plan),
        )


def changes_by_host(plan: Plan) -> dict[str, tuple[str, ...]]:
    """What the plan does to each host, as `replace chat-0`; a move is one of both hosts."""
    found: dict[str, list[str]] = {}
    for change in plan.pending:
        for host in {change.host, change.from_host} - {None}:
            found.setdefault(str(host), []).append(f"{change.action} {change.key}")
    return {host: tuple(changes) for host, changes in found.items()}
