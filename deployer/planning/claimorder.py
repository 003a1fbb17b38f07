"""In which order handovers must go, by their claims, and which of them can only go down together."""

from __future__ import annotations

from collections.abc import Mapping

from deployer.planning.claimants import claims_wanted
from deployer.planning.claims import Claim
from deployer.planning.handover import Handover
from deployer.values.names import ReplicaKey
from deployer.values.plan import Action

Waits = Mapping[ReplicaKey, frozenset[ReplicaKey]]


def new_claims(handover: Handover) -> frozenset[Claim]:
    """What the replica claims that its own matching container does not hold already."""
    if handover.new is None or handover.change.action in (Action.STOP, Action.UPDATE, Action.KEEP):
        return frozenset()
    return claims_wanted(handover.new)


def old_claims(handover: Handover) -> frozenset[Claim]:
    """What its running containers hold and give back in this plan."""
    old = [*handover.live, *([handover.match] if handover.match is not None else [])]
    keeps_match = handover.change.action in (Action.UPDATE, Action.KEEP)
    held = [o.held for o in old if not (keeps_match and o is handover.match)]
    return frozenset().union(*held, *(made.claims for made in handover.taken))


def waits_for(
    handovers: tuple[Handover, ...], roomy: frozenset[Claim] = frozenset()
) -> dict[ReplicaKey, frozenset[ReplicaKey]]:
    """For each handover the others whose containers hold what it claims, and where there is no room for both. Linear in
    the number of claims."""
    holders: dict[Claim, set[ReplicaKey]] = {}
    for handover in handovers:
        for claim in old_claims(handover) - roomy:
            holders.setdefault(claim, set()).add(handover.key)
    return {
        handover.key: frozenset(
            key for claim in new_claims(handover) for key in holders.get(claim, ()) if key != handover.key
        )
        for handover in handovers
    }


def needs_own_stop(handover: Handover) -> bool:
    """Its successor claims what its running container holds: stop-first."""
    return bool(new_claims(handover) & old_claims(handover))


def recreates(handover: Handover) -> bool:
    """`strategy: recreate` stops all replicas of the service before it starts their successors."""
    replaced = handover.change.action in (Action.REPLACE, Action.MOVE)
    return replaced and handover.new is not None and handover.new.choice.service.rollout.strategy == "recreate"


def batches(handovers: tuple[Handover, ...], waits: Waits) -> list[tuple[ReplicaKey, ...]]:
    """Replicas that can only go down together, those waited for first. A service that is recreated is one batch where
    one of its replicas waits for another's claims."""
    edges = {key: set(others) for key, others in waits.items()}
    recreated: dict[str, list[ReplicaKey]] = {}
    for handover in handovers:
        if recreates(handover):
            recreated.setdefault(handover.key.service, []).append(handover.key)
    for keys in recreated.values():
        if any(waits[key] for key in keys):
            for key, after in zip(keys, [*keys[1:], keys[0]], strict=True):
                edges[key] |= {after} - {key}
    return components({key: frozenset(others) for key, others in edges.items()})


def components(waits: Waits) -> list[tuple[ReplicaKey, ...]]:
    """Strongly connected components, those waited for first (Tarjan, without recursion); ties in key order."""
    order: dict[ReplicaKey, int] = {}
    low: dict[ReplicaKey, int] = {}
    stack: list[ReplicaKey] = []
    on_stack: set[ReplicaKey] = set()
    found: list[tuple[ReplicaKey, ...]] = []
    for root in sorted(waits):
        if root in order:
            continue
        work = [(root, iter(sorted(waits[root])))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while work:
            key, rest = work[-1]
            nxt = next(rest, None)
            if nxt is None:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[key])
                if low[key] == order[key]:
                    found.append(_unwind(stack, on_stack, key))
            elif nxt not in order:
                order[nxt] = low[nxt] = len(order)
                stack.append(nxt)
                on_stack.add(nxt)
                work.append((nxt, iter(sorted(waits[nxt]))))
            elif nxt in on_stack:
                low[key] = min(low[key], order[nxt])
    return found


def _unwind(stack: list[ReplicaKey], on_stack: set[ReplicaKey], key: ReplicaKey) -> tuple[ReplicaKey, ...]:
    members = []
    while True:
        member = stack.pop()
        on_stack.discard(member)
        members.append(member)
        if member == key:
            return tuple(sorted(members))
