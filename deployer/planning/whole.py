"""Services that are handed over as a whole: where one replica's successor fails, those that answered go back too.

What goes back does so one replica after the other, each start waiting for an answer, so that no more is down than the
way there took down.
"""

from __future__ import annotations

from itertools import groupby

from deployer.planning.layout import Layout
from deployer.planning.undo import reverts_of
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action

CREATES = (Action.CREATE, Action.REPLACE, Action.MOVE)


def bound_services(on: Layout) -> frozenset[str]:
    """Those with `on_failure: rollback` and several successors of which one has a predecessor; but not where another
    service waits for what its predecessors hold: what they held is given away then."""
    given_away = {other.service for key, others in on.waits.items() for other in others if other.service != key.service}
    found: dict[str, list[ReplicaKey]] = {}
    for key, swap in on.swaps.items():
        if swap.new.choice.service.rollout.on_failure == "rollback":
            found.setdefault(key.service, []).append(key)
    return frozenset(
        name
        for name, keys in found.items()
        if len(keys) > 1 and name not in given_away and any(on.swaps[key].was_served for key in keys)
    )


def bind_services(on: Layout) -> None:
    """A commit says what follows if another one of its service is never reached; nothing is removed before all are."""
    bound = (key for key in sorted(on.swaps) if key.service in on.bound)
    for name, own in groupby(bound, key=lambda key: key.service):
        keys = [*own]
        commits = [on.ready[key] for key in keys]
        for key in keys:
            group = [on.swaps[other] for other in on.together.get(key, (key,)) if other in on.swaps]
            on.steps.bind(on.ready[key], name, reverts_of(on.project.spec, group))
            for step in on.retired.get(key, ()):
                on.steps.need(step, commits)
