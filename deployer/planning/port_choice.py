"""Which port of its host a replica gets: the one it has, the one the spec says, or the first that is free."""

from __future__ import annotations

from deployer.dataclass import dataclass
from deployer.planning.choice import ServiceChoice
from deployer.planning.ledger import NOTHING, Ledger, Own
from deployer.planning.replicas import Found
from deployer.values.names import ReplicaKey

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Wish:
    """A replica that wants a place. `here`: the container whose place is to be kept. `own`: what it may have, whoever
    is seen on it. `without`: GPUs that it shall not have."""

    choice: ServiceChoice
    key: ReplicaKey
    here: Found | None = None
    own: Own = NOTHING
    without: frozenset[str] = NOBODY


def port_on(wish: Wish, ledger: Ledger) -> int | str:
    """The replica's port on this host, or why there is none."""
    wanted, own = wish.choice.service.port, wish.own
    kept = _port_to_keep(wish.choice, wish.here) if wish.here is not None else None
    if kept is not None and ledger.port_holder(kept, own) is None:
        return kept
    if wanted.number is not None:
        holder = ledger.port_holder(wanted.number, own)
        if holder is None or wanted.on_conflict == "fail":
            return wanted.number if holder is None else f"port {wanted.number} is held by {holder}"
    port = next(ledger.pickable_ports(wish.key), None)
    return f"no port of {ledger.allowed.start}-{ledger.allowed.stop - 1} is free" if port is None else port


def _port_to_keep(choice: ServiceChoice, found: Found) -> int | None:
    """The port it has, when that was picked for what the spec still asks."""
    decided, asked = found.recorded.decisions.get("port"), found.recorded.decisions.get("port_asked")
    wanted = choice.service.port
    if not isinstance(decided, int) or asked != wanted.number:
        return None
    return decided if wanted.number is None or wanted.on_conflict == "next" else None
