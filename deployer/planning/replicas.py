"""Our containers on the hosts, sorted by the replica they belong to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

from deployer.dataclass import dataclass
from deployer.planning.claims import Claim, claims_held, is_holding
from deployer.values.facts import HostFacts, ObservedContainer, ObservedState, Recorded
from deployer.values.names import RETIRING, ReplicaKey


@dataclass(frozen=True)
class Found:
    """A container of this project, with the host it was seen on."""

    facts: HostFacts
    container: ObservedContainer
    recorded: Recorded

    @property
    def host(self) -> str:
        return self.facts.name

    @property
    def is_live(self) -> bool:
        return is_holding(self.container)

    @cached_property
    def held(self) -> frozenset[Claim]:
        """What it holds on its host now."""
        return claims_held(self.facts, self.container)

    @property
    def is_verified(self) -> bool:
        """It answered since its last start by deployer: until then its restart policy is `no` (see planning.rollout).
        Where that is also the one it is to have, its host's note tells."""
        wanted = self.recorded.spec.restart if self.recorded.spec else None
        if wanted == "no":
            return self.has_answered
        return wanted is not None and self.container.restart_policy != "no"

    @property
    def would_come_back(self) -> bool:
        """It was stopped by another hand than deployer's, or by a Docker that ended: that starts it again some day."""
        return self.container.status == "exited" and self.container.restart_policy != "no"

    @property
    def gave_its_name(self) -> bool:
        return self.container.name.endswith(RETIRING)

    @property
    def has_answered(self) -> bool:
        """Once, as its host noted; also of one that was stopped since."""
        return self.container.id in self.facts.answered


def found_replicas(observed: ObservedState) -> dict[ReplicaKey, tuple[Found, ...]]:
    """Per replica what runs first, then what started last."""
    found: dict[ReplicaKey, list[Found]] = {}
    for facts in observed.reachable.values():
        for container in facts.containers:
            recorded = container.recorded
            if recorded is not None and recorded.role != "task":
                found.setdefault(recorded.key, []).append(Found(facts, container, recorded))
    return {key: tuple(_in_order(items)) for key, items in sorted(found.items())}


def _in_order(items: Iterable[Found]) -> list[Found]:
    by_name = sorted(items, key=lambda f: (f.host, f.container.name))
    latest_first = sorted(by_name, key=lambda f: f.container.started_at, reverse=True)
    return sorted(latest_first, key=lambda f: (not f.is_live, f.container.status == "created", not f.is_verified))


def current(found: Mapping[ReplicaKey, tuple[Found, ...]], key: ReplicaKey) -> Found | None:
    """The container whose decisions a re-plan keeps."""
    return next(iter(found.get(key, ())), None)


def surplus(olds: Sequence[Found], keep: int, images: Collection[str] = ()) -> list[Found]:
    """Of a replica's former containers, newest first, those no rollback needs: all beyond `keep`, and whatever
    never ran or gave its name to a successor of the same image. `images`: ids of that, where it is known."""
    useless = [o for o in olds if o.container.status in ("created", "dead") or _is_just_as(o, images)]
    return [*useless, *[o for o in olds if o not in useless][keep:]]


def _is_just_as(old: Found, images: Collection[str]) -> bool:
    return old.gave_its_name and (not images or not old.has_answered or old.container.image_id in images)
