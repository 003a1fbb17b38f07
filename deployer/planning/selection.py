"""`--limit`, `--target` and holds: which changes are made now. All is observed and placed, whatever they say."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from deployer.dataclass import dataclass, replace
from deployer.errors import Diagnostic, UsageError
from deployer.planning.claimorder import waits_for
from deployer.planning.handover import Handover
from deployer.planning.hosts import hosts_named
from deployer.spec.language import DeploySpec
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Cause, Reason

DONE = {Action.START: "started", Action.STOP: "stopped"}


@dataclass(frozen=True, slots=True)
class Selection:
    """Hosts and services to change; None: all of them."""

    hosts: frozenset[str] | None = None
    services: frozenset[str] | None = None
    gone: frozenset[str] = frozenset()  # of `services`, those that are not in the spec
    replicas: frozenset[ReplicaKey] | None = None
    held: frozenset[str] = frozenset()  # services that were rolled back, and stay so

    def takes(self, handover: Handover) -> bool:
        return handover.key.service not in self.held and self.names(handover)

    def has_whole(self, service: str) -> bool:
        """The command line chose all of it, wherever it runs."""
        return self.hosts is None and self.replicas is None and (self.services is None or service in self.services)

    def names(self, handover: Handover) -> bool:
        """Whether the command line chose it."""
        change = handover.change
        touched = {change.host, change.from_host or change.host, *(found.host for found in handover.live)}
        by_host = self.hosts is None or touched <= self.hosts
        by_replica = self.replicas is None or change.key in self.replicas
        return by_host and by_replica and (self.services is None or change.key.service in self.services)


def selection_of(spec: DeploySpec, limit: tuple[str, ...], target: tuple[str, ...]) -> Selection:
    """UsageError for a host, group or service that the spec does not have. Names may be joined by commas.

    A service that is no longer in the spec may be named too: its removal is what is selected then.
    """
    hosts = [name for text in limit for name in text.split(",") if name]
    for name in hosts:
        if name not in spec.hosts and name not in spec.groups:
            raise _unknown("host or group", name, [*spec.hosts, *spec.groups], "--limit")
    services = frozenset(name for text in target for name in text.split(",") if name)
    limited = frozenset(hosts_named(spec, tuple(hosts))) if hosts else None
    return Selection(limited, services or None, services - set(spec.services))


def selected(handovers: tuple[Handover, ...], selection: Selection) -> tuple[tuple[Handover, ...], list[Diagnostic]]:
    """The handovers with those left out turned into keeps, and an error for each that cannot go without one of them."""
    nowhere = sorted(selection.gone - {h.key.service for h in handovers})
    if nowhere:
        message = f"`--target {nowhere[0]}` names no service, neither in the spec nor on the hosts"
        return handovers, [Diagnostic("unknown-name", message, hint="check the name")]
    pending = tuple(h for h in handovers if h.change.action is not Action.KEEP)
    left_out = {h.key for h in pending if not selection.takes(h)}
    if not left_out:
        return handovers, []
    problems = [
        _needed(key, other, selection)
        for key, others in sorted(waits_for(pending).items())
        for other in sorted(others)
        if key not in left_out and other in left_out
    ]
    return tuple(_kept(h, selection) if h.key in left_out else h for h in handovers), problems


def _needed(key: ReplicaKey, other: ReplicaKey, selection: Selection) -> Diagnostic:
    what = f"replica `{key}` takes over a GPU or port of `{other}`"
    if other.service in selection.held:
        return Diagnostic("needs-more", f"{what}, which is held", hint="end the hold with `--resume`")
    hint = f"select `{other.service}` and its host too"
    return Diagnostic("needs-more", f"{what}, which `--limit` or `--target` leaves out", hint=hint)


def _kept(handover: Handover, selection: Selection) -> Handover:
    change = handover.change
    is_held = handover.key.service in selection.held
    code, why = ("held", "is held since it was rolled back") if is_held else ("not-selected", "is not selected")
    reason = Reason(code, f"would be {DONE.get(change.action, f'{change.action.value}d')}, but {why}")
    kept = replace(change, action=Action.KEEP, cause=Cause.NONE, reasons=(reason, *change.reasons), diff=())
    where = replace(kept, host=change.from_host or change.host, from_host=None)
    return Handover(where, match=handover.match, live=handover.live)


def _unknown(kind: str, name: str, known: Iterable[str], flag: str) -> UsageError:
    near = difflib.get_close_matches(name, sorted(known), 1)
    hint = f"did you mean `{near[0]}`?" if near else "known are " + ", ".join(f"`{k}`" for k in sorted(known))
    return UsageError(Diagnostic("unknown-name", f"`{flag} {name}` names no {kind}", hint=hint))
