"""Starts on GPUs that are shared: one after the other, since servers size themselves by what is free meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from deployer.dataclass import dataclass
from deployer.planning.claimorder import recreates
from deployer.planning.claims import Claim, foreign_claims
from deployer.planning.gpu_memory import usable_memory
from deployer.planning.handover import Handover
from deployer.planning.replicas import Found
from deployer.planning.steplist import StepList
from deployer.spec.language import Host
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action


@dataclass(frozen=True, slots=True)
class Shown:
    """By replica: the step in which it `answered`, the one after which it stays, and its `stops`. `together`: replicas
    that can only go down at the same time as others. `stop_first`: those whose predecessors stop before they start."""

    answered: Mapping[ReplicaKey, str]
    ready: Mapping[ReplicaKey, str]
    stops: Mapping[ReplicaKey, Sequence[str]]
    together: Mapping[ReplicaKey, Sequence[ReplicaKey]]
    stop_first: Set[ReplicaKey]

    def settled(self, key: ReplicaKey, before: ReplicaKey) -> str:
        """After which a replica may start that waits for the one `before` it: those that go together wait for each
        other's answers, and none of them stays before all have answered."""
        return self.answered[before] if before in self.together.get(key, ()) else self.ready[before]

    def waiting(self, handover: Handover) -> Sequence[str]:
        """What is stopped for its start, where nobody who starts before it waits for that."""
        is_alone = handover.key in self.stop_first and handover.key not in self.together
        return self.stops.get(handover.key, ()) if is_alone and not recreates(handover) else ()


def starts_already(handover: Handover) -> bool:
    """An apply that ended early left it starting on GPUs that it shares: whoever starts there waits for its answer."""
    match, new = handover.match, handover.new
    if match is None or new is None or new.placed.share is None or handover.change.action is not Action.UPDATE:
        return False
    return match.is_live and not match.is_verified


def roomy_claims(handovers: Sequence[Handover], hosts: Mapping[str, Host]) -> frozenset[Claim]:
    """GPUs on which all that come, stay and go have room at the same time: there nobody waits for others to stop, but
    for those that are starting and shall not run."""
    left: dict[Claim, int] = {}
    for handover in handovers:
        left |= _left_by_others(handover, hosts)
    most: dict[Claim, int] = {}
    for handover in handovers if left else ():
        for claim, size in _sizes(handover).items():
            most[claim] = most.get(claim, 0) + size
    return frozenset(claim for claim, size in left.items() if most[claim] <= size)


def in_turn(steps: StepList, order: Iterable[Handover], shown: Shown) -> None:
    """Each start waits until whoever starts on one of its GPUs before it has answered; what is stopped to make room
    for it goes on serving until it is its turn."""
    last: dict[Claim, ReplicaKey] = {}
    for handover in order:
        new, key = handover.new, handover.key
        if new is None or new.placed.share is None or key not in shown.answered:
            continue
        claims = [(new.host, "gpu", uuid) for uuid in new.placed.gpus]
        earlier = [shown.settled(key, last[claim]) for claim in claims if claim in last]
        for step in (f"{new.host}/{key}/start", *shown.waiting(handover)):
            steps.need(step, earlier)
        last |= dict.fromkeys(claims, key)


def _sizes(handover: Handover) -> dict[Claim, int]:
    """What a replica takes at most of each GPU that it has or gets, while it changes."""
    new, found = handover.new, (*handover.live, *([handover.match] if handover.match is not None else []))
    old = [(item.host, uuid, _taken(handover, item)) for item in found if item.is_live for uuid in item.container.gpus]
    coming = [(new.host, uuid, new.placed.share) for uuid in new.placed.gpus] if new is not None else []
    sizes: dict[Claim, int] = {}
    for host, uuid, share in (*old, *coming):
        claim = (host, "gpu", uuid)
        sizes[claim] = max(sizes.get(claim, 0), 1 << 62 if share is None else share)
    return sizes


def _taken(handover: Handover, item: Found) -> int | None:
    """Of each of its GPUs; None: all, also by what is still starting and goes."""
    stays = item is handover.match and handover.change.action in (Action.UPDATE, Action.KEEP)
    return item.container.gpu_share if stays or item.is_verified else None


def _left_by_others(handover: Handover, hosts: Mapping[str, Host]) -> dict[Claim, int]:
    """Of the GPUs that it shares, what is not taken by other projects, nor kept for them."""
    new = handover.new
    if new is None or new.placed.share is None:
        return {}
    facts = new.placed.facts
    others = foreign_claims(facts)
    return {
        (new.host, "gpu", gpu.uuid): (usable_memory(gpu) or 0)
        - hosts[new.host].kept_gpu_memory
        - sum(others.shares.get(gpu.uuid, {}).values())
        - others.used.get(gpu.uuid, 0)
        for gpu in facts.gpus
        if gpu.uuid in new.placed.gpus
    }
