"""The pure function at the heart: plan(project, observed, resolved) -> Plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployer import __version__
from deployer.dataclass import replace
from deployer.errors import Diagnostic, Severity, SpecError
from deployer.planning.askable import said_for
from deployer.planning.availability import availability, broken_promises
from deployer.planning.beside import Beside
from deployer.planning.choice import Seen, ServiceChoice, choose, keys_of
from deployer.planning.copy_warnings import copy_warnings
from deployer.planning.decisions import Written
from deployer.planning.desired import DesiredReplica, Wanted, desired_replica
from deployer.planning.diff import handovers, keep_protected
from deployer.planning.disk import full_disks
from deployer.planning.dropped import dropped_hosts, protected_services
from deployer.planning.fanout import fanned_out
from deployer.planning.fetching import Layers, code_warnings
from deployer.planning.gpu_identity import moved_indexes, unexpected_gpus
from deployer.planning.gpu_rules import gpu_warnings
from deployer.planning.handmade import left_running
from deployer.planning.handover import Handover
from deployer.planning.holds import hold_warnings, holds_in_force
from deployer.planning.host_memory_rules import memory_warnings
from deployer.planning.hosts import HostIndex
from deployer.planning.image_sources import unknown_images
from deployer.planning.ownership import forbidden_secrets, foreign_project_problems
from deployer.planning.placement import Placer
from deployer.planning.policy import breaches
from deployer.planning.presence import Presence, left_alone, presence, said_of_draining
from deployer.planning.readiness import url, with_health_path, with_listed
from deployer.planning.reading import read_once
from deployer.planning.render_options import check_options
from deployer.planning.replicas import Found, found_replicas
from deployer.planning.rollout import Rollout
from deployer.planning.selection import Selection, selected
from deployer.planning.setup import setup_questions, with_setup
from deployer.planning.state_dir import denied_state_dirs
from deployer.planning.takeover import shared_gpus, taking_over
from deployer.planning.unread import unread_containers
from deployer.planning.used import host_use
from deployer.spec.project import Project
from deployer.values.canonical import digest
from deployer.values.facts import HostFacts, ObservedState
from deployer.values.names import ReplicaKey
from deployer.values.plan import Change, Member, Placement, Plan, Reason
from deployer.values.resolved import Resolved

if TYPE_CHECKING:
    from deployer.planning.former import Back

ALL = Selection()
NO_LAYERS: Layers = {}


def plan(
    project: Project, observed: ObservedState, resolved: Resolved, selection: Selection = ALL, *, resume: bool = False
) -> Plan:
    """What to do so that the hosts become what the spec says. Problems of severity error forbid applying it. `resume`:
    holds are at an end."""
    here = presence(project, observed)
    facts, found = here.visible.reachable, found_replicas(here.visible)
    problems: list[Diagnostic] = [*here.problems, *foreign_project_problems(project, facts)]
    seen = Seen(facts, HostIndex(project.spec), resolved.listings)
    choices = _choices(project, seen, found, problems)
    unknown = _unknown(here.hiding_places(project.spec, seen.index), here, choices, found)
    written = Written(project, seen.index)
    problems += [*unexpected_gpus(project, facts), *moved_indexes(written, choices, found)]
    placer = Placer(project, seen, found)
    placer.place([c for c in choices.values() if c.is_running], frozenset(change.key for change in unknown))
    if placer.unplaced:
        from deployer.planning.remedies import Trials, explained

        trials = Trials(project, seen, found, choices, frozenset(change.key for change in unknown))
        problems += explained(trials, placer)
    written = Written(project, seen.index)
    wanted = Wanted(written, resolved, found)
    desired = _desired(wanted, Beside(placer, wanted, choices), problems)
    problems += [p for replica in desired.values() for p in forbidden_secrets(project, replica, seen.index)]
    problems += breaches(project, desired.values())
    problems += gpu_warnings(project, lambda: placer.places.fitting, desired.values())
    problems += memory_warnings(project, desired.values())
    failed = set(project.spec.services) - set(choices)
    unplaced = {k for c in choices.values() for k in keys_of(c) if k not in desired}
    unplaced |= {key for key in found if key.service in failed}
    stopped = {k: c for c in choices.values() if not c.is_running for k in keys_of(c) if k in found}
    protected = protected_services(project.spec, facts)
    made = [
        keep_protected(h, protected) for h in handovers(desired, found, frozenset(unplaced - set(stopped)), stopped)
    ]
    changes = tuple(_drained(h, project) for h in made)
    questions = setup_questions(changes)
    changes = tuple(taking_over(with_setup(h, resolved), placer.takeovers) for h in changes)
    problems += [*placer.takeovers.problems, *shared_gpus(changes)]
    problems += left_running(project, placer.takeovers, (made for h in changes for made in h.taken))
    changes += tuple(Handover(change) for change in unknown)
    holds = {} if resume else holds_in_force(project, facts, written)
    met = {h.key.service for h in changes if selection.names(h)}
    changes, entangled = selected(changes, replace(selection, held=frozenset(holds)))
    kept_back = tuple(hold for name, hold in sorted(holds.items()) if name in met)
    problems += [*entangled, *hold_warnings(project, kept_back)]
    problems += unknown_images(project, desired, resolved.images)
    made_plan = _assemble(project, observed, changes, choices, desired, problems, resolved.layers)
    return replace(made_plan, questions=questions, holds=kept_back)


def plan_destroy(project: Project, observed: ObservedState, selection: Selection = ALL) -> Plan:
    """Removes every container of the project, whatever the spec's services say."""
    here = presence(project, observed)
    found = found_replicas(here.visible)
    problems = [*here.problems, *foreign_project_problems(project, here.visible.reachable)]
    protected = protected_services(project.spec, here.visible.reachable)
    gone = (keep_protected(h, protected) for h in handovers({}, found, frozenset()))
    removals, entangled = selected(tuple(map(_destroyed, gone)), selection)
    problems += entangled
    return _assemble(project, observed, removals, {}, {}, problems)


def plan_rollback(
    project: Project, observed: ObservedState, resolved: Resolved, back: Back, selection: Selection = ALL
) -> Plan:
    """Brings replicas back to former containers of their own hosts; whatever else the spec says waits."""
    from deployer.planning.rollback import going_back

    here = presence(project, observed)
    facts, found = here.visible.reachable, found_replicas(here.visible)
    problems = [*here.problems, *foreign_project_problems(project, facts)]
    going = going_back(project, found, resolved, back)
    changes, entangled = selected(going.handovers, selection)
    problems += [*going.problems, *entangled]
    return _assemble(project, observed, changes, going.choices, going.desired, problems)


def _drained(handover: Handover, project: Project) -> Handover:
    change = said_of_draining(handover.change, project.spec)
    return handover if change is handover.change else replace(handover, change=change)


def _destroyed(handover: Handover) -> Handover:
    """The same removal with the reason that it has here."""
    others = tuple(reason for reason in handover.change.reasons if reason.code != "not-in-spec")
    reasons = (Reason("destroyed", "all of the project is removed"), *others)
    return replace(handover, change=replace(handover.change, reasons=reasons))


def _assemble(
    project: Project,
    observed: ObservedState,
    changes: tuple[Handover, ...],
    choices: Mapping[str, ServiceChoice],
    desired: Mapping[ReplicaKey, DesiredReplica],
    problems: list[Diagnostic],
    layers: Layers = NO_LAYERS,
) -> Plan:
    rollout = Rollout(project, changes, layers)
    steps = fanned_out(project, observed.reachable, rollout.lay_out(), desired.values())
    steps = tuple(read_once(observed.reachable, steps))
    problems += broken_promises(project, changes, choices, rollout.downs)
    problems += dropped_hosts(project, observed.reachable)
    problems += unread_containers(observed.reachable)
    problems += [*full_disks(project, observed, steps), *code_warnings(steps)]
    problems += copy_warnings(project, desired.values(), steps)
    if any(facts.late_mounts for facts in observed.reachable.values()):
        from deployer.planning.late_mounts import late_mount_warnings

        problems += late_mount_warnings(desired.values())
    problems += denied_state_dirs(observed.reachable) if steps else ()
    return Plan(
        project=project.spec.project,
        id=project.spec.id,
        deployer=__version__,
        spec_digest=digest(project.spec.model_dump(mode="json")),
        hosts=host_use(observed, desired),
        placements=tuple(_placement(project, replica) for _, replica in sorted(desired.items())),
        changes=tuple(h.change for h in changes),
        steps=steps,
        rollout=availability(changes, choices, rollout.downs),
        problems=(*project.warnings, *_not_said(project, problems)),
    )


def _not_said(project: Project, problems: list[Diagnostic]) -> list[Diagnostic]:
    """Without warnings that the spec's own checks gave at the same place."""
    said = {(warning.code, warning.where) for warning in project.warnings if warning.where is not None}
    return [p for p in problems if p.severity is Severity.ERROR or (p.code, p.where) not in said]


def _unknown(
    hidden: Mapping[str, str],
    here: Presence,
    choices: Mapping[str, ServiceChoice],
    found: Mapping[ReplicaKey, tuple[Found, ...]],
) -> tuple[Change, ...]:
    """Replicas that nobody saw and that may run on a host nobody can look at: never created elsewhere."""
    return tuple(
        left_alone(key, hidden[name], here.dark[hidden[name]])
        for name, choice in choices.items()
        if name in hidden
        for key in keys_of(choice)
        if key not in found
    )


def _choices(
    project: Project,
    seen: Seen,
    found: Mapping[ReplicaKey, tuple[Found, ...]],
    problems: list[Diagnostic],
) -> dict[str, ServiceChoice]:
    by_service: dict[str, list[Found]] = {}
    for key, items in found.items():
        by_service.setdefault(key.service, []).extend(items)
    choices: dict[str, ServiceChoice] = {}
    asked = [facts for facts in seen.facts.values() if facts.image_flags]
    for name in sorted(project.spec.services):
        choice = choose(project, name, seen, by_service.get(name, ()))
        refused = (choice,) if isinstance(choice, Diagnostic) else _check_options(project, choice, asked)
        problems += refused
        if not isinstance(choice, Diagnostic) and not any(d.severity is Severity.ERROR for d in refused):
            choices[name] = choice
    return choices


def _check_options(project: Project, choice: ServiceChoice, asked: list[HostFacts]) -> tuple[Diagnostic, ...]:
    """Of the service as written, and under each of its overrides. `asked`: hosts with images that named their flags."""
    variants: list[tuple[int, ...]] = [(), *((index,) for index in range(len(choice.service.overrides)))]
    said = said_for(project, choice.name, asked)
    found = (d for which in variants for d in check_options(project, choice.name, choice.backend, which, said))
    return tuple(dict.fromkeys(found))


def _desired(wanted: Wanted, beside: Beside, problems: list[Diagnostic]) -> dict[ReplicaKey, DesiredReplica]:
    desired: dict[ReplicaKey, DesiredReplica] = {}
    failed: set[str] = set()
    for key, placed in sorted(beside.placer.placed.items()):
        try:
            replica = desired_replica(wanted, placed)
            desired[key] = with_health_path(with_listed(beside.placed_well(replica)))
        except SpecError as error:
            if key.service not in failed:
                problems += error.diagnostics
            failed.add(key.service)
    return desired


def _placement(project: Project, replica: DesiredReplica) -> Placement:
    host = project.spec.hosts[replica.host]
    address = "127.0.0.1" if host.connection == "local" else host.address or replica.host
    member = Member(replica.host, replica.placed.gpus, replica.placed.port)
    return Placement(replica.key, (member,), url(replica, address), replica.placed.need)
