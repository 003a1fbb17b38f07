"""Has the host ports to give, and who else listens there?"""

from __future__ import annotations

from collections.abc import Iterator

from deployer.planning.claims import foreign_claims
from deployer.spec.language import Host
from deployer.values.checks import Check, failed, passed, warned
from deployer.values.facts import HostFacts

MOST_NAMED = 20
FEW = 20  # ports


def port_checks(host: Host, facts: HostFacts) -> Iterator[Check]:
    strangers = _strangers(host, facts)
    yield _range(host, facts, len(_pickable(host, facts)) - len(strangers))
    if not strangers:
        yield passed("listeners", f"nobody else listens on {host.ports}")
        return
    shown = [f"port {port}: {holder}" for port, holder in sorted(strangers.items())[:MOST_NAMED]]
    shown += [f"... and {len(strangers) - len(shown)} more"] if len(strangers) > len(shown) else []
    message = f"others listen on {len(strangers)} of the ports {host.ports}; deployer picks none of these"
    remedy = "leave them out of `ports` of the host, or stop what holds them"
    if any("leftover docker-proxy" in who for who in strangers.values()):
        remedy += "; a leftover `docker-proxy` has lost its container and can be killed"
    yield warned("listeners", message, remedy, shown)


def _range(host: Host, facts: HostFacts, free: int) -> Check:
    first, last = facts.ephemeral_ports
    span = host.port_range
    remedy = f"set `ports` of the host below {first}" if first > 1024 else f"set `ports` of the host above {last}"
    if free == 0:
        return failed("ports", f"none of {host.ports} can be given out", remedy)
    if span.start <= last and first < span.stop:
        message = f"{host.ports} overlaps {first}-{last}, which the kernel gives to outgoing connections"
        return warned("ports", message, remedy, [f"{free} ports are left"])
    if free < FEW:
        return warned("ports", f"only {free} of {host.ports} can be given out", "widen `ports` of the host")
    return passed("ports", f"{free} of {host.ports} can be given out")


def _pickable(host: Host, facts: HostFacts) -> set[int]:
    first, last = facts.ephemeral_ports
    return {port for port in host.port_range if not first <= port <= last}


def _strangers(host: Host, facts: HostFacts) -> dict[int, str]:
    """Ports that deployer could pick if nobody had them, with their holders."""
    pickable = _pickable(host, facts)
    held = {int(name): who for (_, kind, name), who in foreign_claims(facts).holders.items() if kind == "port/tcp"}
    return {port: who for port, who in held.items() if port in pickable}
