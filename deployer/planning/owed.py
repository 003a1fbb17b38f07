"""What a successor notes of those that are stopped for it, so that they come back if it never answers, whoever asks by
then. An apply that dies between the stop and the answer leaves nothing else behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from deployer.dataclass import replace
from deployer.planning.claims import Claim, claims_of, port_claim
from deployer.planning.handmade import HandMade, Takeovers
from deployer.planning.replicas import Found
from deployer.values.names import ReplicaKey

NOTE = "took_over"  # in a container's decisions: [[id, restart policy], ...]
POLICY = re.compile(r"(no|always|unless-stopped|on-failure(:\d{1,4})?)\Z")
MOST = 8


def note(taken: Iterable[HandMade], items: Sequence[Found], host: str) -> list[list[str]]:
    """For the decisions of a successor on this host."""
    ours = [i for i in items if i.host == host and i.is_live and i.is_verified]
    noted = {made.container.id: made.policy for made in taken if made.runs}
    noted |= {i.container.id: i.container.restart_policy for i in ours}
    noted |= _noted(items)
    return [[id_, restart] for id_, restart in noted.items()][:MOST]


def _noted(items: Sequence[Found]) -> dict[str, str]:
    """By container id: what was stopped for successors that have not answered since. A label is believed as far as it
    has the right shape; it only ever names containers of its own host."""
    if any(item.is_live and item.is_verified for item in items):
        return {}
    found: dict[str, str] = {}
    for item in items:
        pairs = item.recorded.decisions.get(NOTE) if not item.is_verified else None
        for pair in pairs[:MOST] if isinstance(pairs, list) else ():
            if (
                isinstance(pair, list)
                and len(pair) == 2
                and isinstance(pair[0], str)
                and isinstance(pair[1], str)
                and POLICY.match(pair[1])
            ):
                found.setdefault(pair[0], pair[1])
    return found


def owed(takeovers: Takeovers, key: ReplicaKey, items: Sequence[Found]) -> tuple[HandMade, ...]:
    """Hand-made containers that were stopped for this replica, and that the spec still names."""
    noted = _noted(items)
    if not noted:
        return ()
    known = (made for host in dict.fromkeys(i.host for i in items) for made in takeovers.named(key.service, host))
    return tuple(made.as_it_was(noted[made.container.id]) for made in known if made.container.id in noted)


def fallback(items: Sequence[Found], host: str, is_free: Callable[[Claim], bool]) -> Found | None:
    """The predecessor of ours that was stopped, with the restart policy that it had; where it needs nothing that is
    somebody else's by now, or will be."""
    noted = _noted(items)
    for item in items:
        then = noted.get(item.container.id)
        is_stopped = item.host == host and item.container.status == "exited"
        if then is not None and is_stopped and all(map(is_free, _claims_recorded(item))):
            return replace(item, container=replace(item.container, restart_policy=then))
    return None


def _claims_recorded(found: Found) -> frozenset[Claim]:
    """What it holds once it runs."""
    spec, port = found.recorded.spec, found.recorded.decisions.get("port")
    published = claims_of(found.host, spec) if spec is not None else frozenset()
    return published | ({port_claim(found.host, port)} if isinstance(port, int) else set())
