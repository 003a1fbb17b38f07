"""Which former container each replica goes back to. What a host recorded is only ever about its own containers.

Chosen once, before anything is shown: the plan that is made again under the locks means the same containers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.planning.applied import APPLY
from deployer.planning.presence import presence
from deployer.planning.replicas import Found, found_replicas
from deployer.planning.selection import Selection
from deployer.spec.project import Project
from deployer.values.facts import ObservedState
from deployer.values.names import RETIRING, ReplicaKey

MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Back:
    """`targets`: by replica the container it goes back to, by name, on the host where the replica is; None: it was not
    there then, and is stopped. `apply`: whose end is meant, where the user named one."""

    targets: Mapping[ReplicaKey, str | None]
    apply: str | None = None
    problems: tuple[Diagnostic, ...] = field(default=(), compare=False)

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(sorted({key.service for key in self.targets}))


def choose_former(project: Project, observed: ObservedState, selection: Selection, apply: str | None = None) -> Back:
    """Of the services that `selection` names; with an apply, of all. Where several services could be meant and none is
    named, that is a problem, and so is a replica of which no former revision is left."""
    if apply is not None and APPLY.match(apply) is None:
        message = f"`{apply[:40]}` is no name of an apply"
        return Back({}, apply, (Diagnostic("unknown-apply", message, hint="`deployer history` names them"),))
    found = found_replicas(presence(project, observed).visible)
    known = {key: items for key, items in found.items() if key.service in project.spec.services}
    meant = {key: items for key, items in known.items() if _is_meant(key, selection)}
    targets = {key: _target(key, items, apply) for key, items in meant.items()}
    able = sorted({key.service for key, item in targets.items() if item is not None})
    if selection.services is None and apply is None and len(able) > 1:
        return Back({}, apply, (_which(able),))
    if selection.services is None:
        targets = {key: item for key, item in targets.items() if key.service in able}
    problems = [] if targets else [_nothing(selection)]
    problems += [_ambiguous(key, meant[key]) for key in targets if len(_live_hosts(meant[key])) > 1]
    problems += [d for name in _services(targets) if (d := _unable(project, name, targets, meant)) is not None]
    named = {key: item.container.name if item is not None else None for key, item in targets.items()}
    return Back(named, apply, tuple(problems))


def _is_meant(key: ReplicaKey, selection: Selection) -> bool:
    return selection.services is None or key.service in selection.services


def _services(targets: Iterable[ReplicaKey]) -> list[str]:
    return sorted({key.service for key in targets})


def _target(key: ReplicaKey, items: Sequence[Found], apply: str | None) -> Found | None:
    """The container that last worked before what is there now, or the one that an apply left."""
    here = [item for item in items if item.host == items[0].host]
    worked = [item for item in here if is_former(item, here) or item.is_live]
    if apply is not None:
        known = [item for item in worked if item.recorded.apply <= apply and item.has_answered]
        return max(known, key=_age, default=None)
    begun = _begun(key, here)
    if begun is not None:
        return begun
    newest = max(here, key=_age)
    if newest.has_answered:
        newest = next((item for item in here if item.is_live and item.is_verified), newest)
    older = [item for item in worked if item.has_answered and item.recorded.apply < newest.recorded.apply]
    return max(older, key=_age, default=None)


def is_former(item: Found, here: Sequence[Found]) -> bool:
    """It worked, was stopped, and can be started again. One that gave its name to a successor is another revision only
    where that has another image."""
    name, image = item.container.name.removesuffix(RETIRING), item.container.image_id
    others = [other for other in here if other.container.name == name and other.container.image_id != image]
    is_whole = item.recorded.spec is not None and (not item.gave_its_name or bool(others))
    return is_whole and item.has_answered and item.container.status == "exited"


def _age(item: Found) -> tuple[str, str]:
    return item.recorded.apply, item.container.name


def _begun(key: ReplicaKey, here: Sequence[Found]) -> Found | None:
    """What a rollback that ended early was to bring back, by this very host's record; None where it did so, or where
    a later apply made something that worked."""
    held = [hold for record in here[0].facts.records for hold in record.holds if hold.service == key.service]
    latest = max((item.recorded.apply for item in here if item.has_answered), default="")
    names = {hold.back_to.get(str(key)) for hold in held if hold.apply >= latest}
    item = next((item for item in here if item.container.name in names and item.has_answered), None)
    return item if item is not None and not (item.is_live and item.is_verified) else None


def _live_hosts(items: Sequence[Found]) -> list[str]:
    return sorted({item.host for item in items if item.is_live})


def _ambiguous(key: ReplicaKey, items: Sequence[Found]) -> Diagnostic:
    """One of the hosts may say so without right: none of them decides what is stopped on the other."""
    message = f"replica `{key}` runs on several hosts, so that it is not known where it is to go back"
    hint = "apply first, or remove the container that should not be there"
    return Diagnostic("several-hosts", message, evidence=tuple(_live_hosts(items)), hint=hint)


def _which(services: Sequence[str]) -> Diagnostic:
    hint = "name it, as `--target " + services[0] + "`, or name an apply of `deployer history`"
    message = "several services have a former revision that worked"
    return Diagnostic("which-service", message, evidence=tuple(services[:MOST_NAMED]), hint=hint)


def _nothing(selection: Selection) -> Diagnostic:
    named = ", ".join(f"`{name}`" for name in sorted(selection.services or ()))
    what = f"of {named} nothing is there" if named else "no service has a former revision that worked"
    hint = "`rollout.keep_revisions` says how many are kept; `deployer history` tells what was applied"
    return Diagnostic("no-former-revision", f"{what} to go back to" if not named else what, hint=hint)


def _unable(
    project: Project,
    service: str,
    targets: Mapping[ReplicaKey, Found | None],
    meant: Mapping[ReplicaKey, Sequence[Found]],
) -> Diagnostic | None:
    """A service goes back as a whole: none of its replicas may lack what it had then. One that was not there then has
    no other container but one of a later apply."""
    mine = {key: item for key, item in targets.items() if key.service == service}
    lacking = [key for key, item in mine.items() if item is None]
    if len(lacking) < len(mine):
        then = max(item.recorded.apply for item in mine.values() if item is not None)
        lacking = [key for key in lacking if not _came_later(meant[key], then)]
    if not lacking:
        return None
    evidence = tuple(f"{key}: {_kept(meant[key])}" for key in sorted(lacking)[:MOST_NAMED])
    return Diagnostic(
        "no-former-revision",
        f"service `{service}` has no former revision that worked, to go back to as a whole",
        project.where("services", service),
        evidence=evidence,
        hint="set the spec back to what it was and apply; `rollout.keep_revisions` says how many are kept",
    )


def _came_later(items: Sequence[Found], then: str) -> bool:
    return all(item.recorded.apply > then for item in items) and len({item.host for item in items}) == 1


def _kept(items: Sequence[Found]) -> str:
    names = [f"{item.container.name} on {item.host}" for item in items]
    return "there is only " + ", ".join(names[:3])
