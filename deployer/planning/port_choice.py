"""Which port of its host a replica gets: the one it has, the one the spec says, or the first that is free."""

from __future__ import annotations

from deployer.planning.choice import ServiceChoice
from deployer.planning.ledger import Ledger, Own
from deployer.planning.replicas import Found


def port_on(choice: ServiceChoice, ledger: Ledger, here: Found | None, own: Own) -> int | str:
    """The replica's port on this host, or why there is none."""
    wanted = choice.service.port
    kept = _port_to_keep(choice, here) if here is not None else None
    if kept is not None and ledger.port_holder(kept, own) is None:
        return kept
    if wanted.number is not None:
        holder = ledger.port_holder(wanted.number, own)
        if holder is None or wanted.on_conflict == "fail":
            return wanted.number if holder is None else f"port {wanted.number} is held by {holder}"
    port = next(ledger.pickable_ports(), None)
    return f"no port of {ledger.allowed.start}-{ledger.allowed.stop - 1} is free" if port is None else port


def _port_to_keep(choice: ServiceChoice, found: Found) -> int | None:
    """The port it has, when that was picked for what the spec still asks."""
    decided, asked = found.recorded.decisions.get("port"), found.recorded.decisions.get("port_asked")
    wanted = choice.service.port
    if not isinstance(decided, int) or asked != wanted.number:
        return None
    return decided if wanted.number is None or wanted.on_conflict == "next" else None
