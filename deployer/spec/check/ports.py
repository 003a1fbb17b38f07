"""Fixed ports that cannot all be had, whatever hosts a plan would choose."""

from __future__ import annotations

from deployer.dataclass import dataclass
from deployer.spec.check.context import Checked
from deployer.spec.check.selection import selected

EVERY_ADDRESS = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class _Wish:
    service: str
    replicas: int
    port: int
    bind: str
    hosts: frozenset[str]


def check_ports(checked: Checked) -> None:
    """More replicas on one fixed port than there are hosts to put them on."""
    groups: dict[tuple[int, frozenset[str]], list[_Wish]] = {}
    for name in sorted(checked.spec.services):
        for wish in _wishes(checked, name):
            groups.setdefault((wish.port, wish.hosts), []).append(wish)
    for wishes in groups.values():
        reported: set[str] = set()
        for address in sorted({wish.bind for wish in wishes}):
            crowd = _crowd([wish for wish in wishes if wish.bind in (address, EVERY_ADDRESS)])
            if crowd and crowd[-1].service not in reported:
                reported.add(crowd[-1].service)
                _report(checked, crowd[-1], [wish.service for wish in crowd[:-1]])


def _crowd(wishes: list[_Wish]) -> list[_Wish]:
    """The first wishes that together are too many for their hosts."""
    total = 0
    for index, wish in enumerate(wishes):
        total += wish.replicas
        if total > len(wish.hosts):
            return wishes[: index + 1]
    return []


def _wishes(checked: Checked, name: str) -> list[_Wish]:
    service = checked.spec.services[name]
    number, replicas = service.port.number, service.replicas
    if number is None or service.port.on_conflict == "next" or service.state == "stopped" or not replicas:
        return []
    hosts = selected(checked, service.placement.hosts)
    bind = EVERY_ADDRESS if service.port.bind in ("", "*", "::") else service.port.bind
    return [_Wish(name, replicas, number, bind, hosts)] if hosts else []


def _report(checked: Checked, wish: _Wish, others: list[str]) -> None:
    count = len(wish.hosts)
    place = f"host `{min(wish.hosts)}`" if count == 1 else f"the {count} hosts that qualify"
    if others:
        claimed = "`, `".join(others)
        message = f"services `{claimed}` and `{wish.service}` ask for port {wish.port} on {place}"
    else:
        message = f"{wish.replicas} replicas of `{wish.service}` ask for port {wish.port} on {place}"
    hint = "give it another port, or leave `port` out: one is picked"
    checked.error("port-taken-twice", message, ("services", wish.service, "port", "number"), hint)
