"""One replica's change with the containers it is about. Decides nothing."""

from __future__ import annotations

from deployer.dataclass import dataclass
from deployer.planning.desired import DesiredReplica
from deployer.planning.handmade import HandMade
from deployer.planning.replicas import Found
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action, Change
from deployer.values.setup import SetupTask


@dataclass(frozen=True, slots=True)
class Handover:
    """One replica's change with the containers it is about.

    `new`: the desired replica, absent for removals. `match`: the container that is the desired one already.
    `live`: running containers that shall not run afterwards. `stale`: others of this replica, holding nothing; `keep`
    of those that do not run any more are kept. `taken`: hand-made containers it takes over from; `owed`: those that
    were stopped for it by an apply that ended early. `fallback`: what such an apply stopped of its own.
    `missing`: the setup of a container that is right otherwise.
    """

    change: Change
    new: DesiredReplica | None = None
    match: Found | None = None
    live: tuple[Found, ...] = ()
    stale: tuple[Found, ...] = ()
    keep: int = 0
    taken: tuple[HandMade, ...] = ()
    owed: tuple[HandMade, ...] = ()
    fallback: Found | None = None
    missing: tuple[SetupTask, ...] = ()

    @property
    def key(self) -> ReplicaKey:
        return self.change.key

    @property
    def containers(self) -> tuple[Found, ...]:
        return (*((self.match,) if self.match is not None else ()), *self.live, *self.stale)

    @property
    def images(self) -> tuple[str, ...]:
        """Ids of the image of what serves then, where they are known."""
        if self.match is not None and self.change.action in (Action.START, Action.UPDATE):
            return image_of(self.match)
        return self.new.image_ids if self.new is not None else ()


def image_of(found: Found) -> tuple[str, ...]:
    return (found.container.image_id,) if found.container.image_id else ()
