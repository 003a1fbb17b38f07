"""Force-unlock: who holds the project's locks, and taking them away. It is noted in the hosts' journals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deployer.engine.fanout import on_each
from deployer.engine.journal import JournalEntry, record
from deployer.engine.lock import Held, Holder, HostLock
from deployer.errors import DeployerError, Diagnostic, UsageError
from deployer.planning.presence import hosts_to_ask
from deployer.workflow.applying import new_apply_id, who_applies
from deployer.workflow.commit import commit_of
from deployer.workflow.session import Session

Locks = Mapping[str, Held]


def locks(session: Session, hosts: Sequence[str]) -> tuple[Locks, tuple[Diagnostic, ...]]:
    """The locks by host, of all hosts where none is named; and what is wrong with hosts that could not be asked."""
    known = hosts_to_ask(session.project.spec)
    unknown = [name for name in hosts if name not in known]
    if unknown:
        there = ", ".join(f"`{name}`" for name in sorted(known))
        raise UsageError(Diagnostic("unknown-host", f"there is no host `{unknown[0]}`; there are {there}"))
    holder = _us(session)
    tried = on_each(hosts or known, lambda host: HostLock(session.fleet[host], holder).look())
    held = {host: found for host, found in tried.items() if isinstance(found, Held)}
    return held, _problems(tried)


def unlock(session: Session, held: Locks) -> tuple[Locks, tuple[Diagnostic, ...]]:
    """Takes exactly these locks away; those that went, and what is wrong with the others."""
    holder = _us(session)

    def take(host: str) -> Held:
        if not HostLock(session.fleet[host], holder).seize(held[host]):
            message = f"host `{host}`: the lock was renewed or taken meanwhile: its apply lives, and keeps it"
            raise DeployerError(Diagnostic("lock-moved", message, hint="end that apply on its own machine", host=host))
        return held[host]

    tried = on_each(held, take)
    broken = {host: found for host, found in tried.items() if isinstance(found, Held)}
    noted = record(session.fleet, broken, _entry(session, holder, broken))
    return broken, (*_problems(tried), *noted)


def _us(session: Session) -> Holder:
    return Holder(session.project.spec.project, new_apply_id(), who_applies())


def _entry(session: Session, holder: Holder, broken: Locks) -> JournalEntry:
    from deployer import __version__

    return JournalEntry(
        project=holder.project,
        apply=holder.apply,
        who=holder.who,
        deployer=__version__,
        verb="force-unlock",
        plan="",
        result="done",
        commit=commit_of(session.project.path),
        changes={host: (f"took the lock from {lock.who}",) for host, lock in broken.items()},
    )


def _problems(tried: Mapping[str, object]) -> tuple[Diagnostic, ...]:
    return tuple(d for error in tried.values() if isinstance(error, DeployerError) for d in error.diagnostics)
