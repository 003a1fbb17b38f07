"""Holds: services that were rolled back, and that no apply moves on until somebody edits them or says `--resume`.

What the hosts remember of a hold is shown, and refuses an apply; it decides nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deployer.errors import Diagnostic, RefusedError, warning
from deployer.planning.applied import latest_record
from deployer.planning.decisions import Written
from deployer.planning.selection import Selection
from deployer.spec.project import Project
from deployer.values.facts import HostFacts
from deployer.values.records import Hold

HINT = "edit the service, or end the hold with `deployer apply --resume`"


def holds_in_force(project: Project, facts: Mapping[str, HostFacts], written: Written) -> dict[str, Hold]:
    """By service: those of the latest record, while the spec still says what it said when they were made."""
    return {
        name: hold
        for name, hold in _recorded(project, facts).items()
        if name in project.spec.services and hold.inputs == written.service(name)
    }


def holds_left(
    project: Project, facts: Mapping[str, HostFacts], written: Written, selection: Selection, *, resume: bool = False
) -> tuple[Hold, ...]:
    """Those that stand after an apply of `selection`: it ends one where it could move the whole service, wherever that
    runs, and the spec says something else of it by now, or the user said `resume`."""
    in_force = {} if resume else holds_in_force(project, facts, written)
    return tuple(
        hold for name, hold in _recorded(project, facts).items() if name in in_force or not selection.has_whole(name)
    )


def _recorded(project: Project, facts: Mapping[str, HostFacts]) -> dict[str, Hold]:
    latest = latest_record(project.spec, facts)
    return {hold.service: hold for hold in (latest.holds if latest is not None else ())}


def hold_warnings(project: Project, holds: Iterable[Hold]) -> list[Diagnostic]:
    return [warning("held", said_of(hold), project.where("services", hold.service), HINT) for hold in holds]


def refuse_held(holds: Iterable[Hold], project: Project) -> None:
    """RefusedError where there is one."""
    found = [Diagnostic("held", said_of(h), project.where("services", h.service), hint=HINT) for h in holds]
    if found:
        raise RefusedError(found)


def said_of(hold: Hold) -> str:
    """Who, when and why, in one sentence."""
    when = f" at {hold.since}" if hold.since else ""
    why = f": {hold.why}" if hold.why else ""
    return f"service `{hold.service}` is held: {hold.who or 'somebody'} rolled it back{when}{why}"
