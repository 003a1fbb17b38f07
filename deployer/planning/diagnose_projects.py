"""What of this and other projects is on a host, and what of ours was left there unfinished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deployer.planning.former import is_former
from deployer.planning.ownership import foreign_project_problems
from deployer.planning.projects import projects_on
from deployer.planning.replicas import Found
from deployer.spec.project import Project
from deployer.values.checks import Check, ProjectSeen, failed, passed, warned
from deployer.values.facts import HostFacts
from deployer.values.records import LockFact

MOST_NAMED = 20


def project_checks(project: Project, facts: HostFacts) -> Iterator[Check]:
    yield _projects(project, facts)
    yield from _lock(project, facts)
    yield _containers(project, facts)


def _projects(project: Project, facts: HostFacts) -> Check:
    seen = [said_of(one) for one in projects_on(facts)]
    ours = project.spec.project
    for problem in foreign_project_problems(project, {facts.name: facts}):
        return failed("projects", problem.message, problem.hint or "", problem.evidence)
    recorded = {record.project for record in facts.records} | {lock.project for lock in facts.locks}
    unseen = sorted(recorded - {one.project for one in projects_on(facts)} - {ours})
    seen += [f"{name}: a record, no containers" for name in unseen]
    return passed("projects", f"{len(seen)} on it" if seen else "none on it yet", seen[:MOST_NAMED])


def said_of(seen: ProjectSeen) -> str:
    identity = f"id {seen.id}" if seen.id else "no id"
    return f"{seen.project} ({identity}): {seen.containers} container{'s' if seen.containers != 1 else ''}"


def _lock(project: Project, facts: HostFacts) -> Iterator[Check]:
    """Both times are written alike, so that they compare as texts."""
    for lock in facts.locks:
        if lock.project == project.spec.project and _is_held(lock, facts.time):
            message = f"an apply holds the lock: {lock.holder or 'somebody'}, since {lock.since or '?'}"
            remedy = f"wait for it; if it died, its lock ends by itself at {lock.expires or 'the end of its lease'}"
            yield warned("lock", message, remedy)


def _is_held(lock: LockFact, now: str) -> bool:
    return not lock.expires or lock.expires > now


def _containers(project: Project, facts: HostFacts) -> Check:
    ours = [Found(facts, c, c.recorded) for c in facts.containers if c.recorded is not None]
    left = [f"{item.container.name}: {why}" for item in ours if (why := _why_left(item, ours)) is not None]
    if left:
        message = f"{len(left)} of {len(ours)} of this project are not in order"
        remedy = "`deployer plan` shows what will become of them, `deployer apply` does it"
        return warned("containers", message, remedy, left[:MOST_NAMED])
    live = sum(item.is_live for item in ours)
    return passed("containers", f"{live} of this project run, {len(ours) - live} are kept for a rollback or stopped")


def _why_left(item: Found, ours: Sequence[Found]) -> str | None:
    """Nothing for what serves, and for predecessors that are kept."""
    container = item.container
    if item.recorded.role == "task":
        return "a task container that was not removed"
    if item.recorded.spec is None:
        return "its record cannot be read, so it will be replaced"
    if item.gave_its_name and not is_former(item, ours):
        return "was to be replaced by an apply that did not come to its end"
    if container.status in ("created", "dead", "removing"):
        return f"is {container.status}, left by an apply that did not come to its end"
    if container.status == "restarting":
        return f"fails and is started again and again ({container.restarts} times)"
    if item.is_live and not item.is_verified:
        return "has never answered: an apply is at work, or did not come to its end"
    return None
