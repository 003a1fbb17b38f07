"""What in a world is not what a wish asks: written without any part of the planner."""

from __future__ import annotations

from typing import Any

from deployer.spec.language import Service
from tests.properties.cases import HOSTS, Wish
from tests.support.world import Box, World

Key = tuple[str, int]


def is_as_asked(wish: Wish, world: World) -> list[str]:
    """Every difference, as text."""
    spec = wish.project().spec
    wanted = {(name, i): s for name, s in spec.services.items() for i in range(s.replicas)}
    wrong: list[str] = []
    running: dict[Key, list[tuple[str, Box]]] = {}
    kept: dict[Key, int] = {}
    for host, box in ((name, box) for name, boxes in sorted(world.boxes.items()) for box in boxes.values()):
        key = (box.key.service, box.key.index)
        if box.status == "created":
            wrong.append(f"{box.name} was never started")
        elif box.holds:
            running.setdefault(key, []).append((host, box))
        else:
            kept[key] = kept.get(key, 0) + 1
    for key in sorted({*wanted, *running}):
        service, here = wanted.get(key), running.get(key, [])
        expected = service is not None and service.state == "running"
        if len(here) != expected:
            wrong.append(f"{key} runs {len(here)} times")
        elif service is not None and here:
            wrong += differences(wish, service, *here[0])
    for key, count in kept.items():
        service = wanted.get(key)
        most = 0 if service is None else service.rollout.keep_revisions + (service.state == "stopped")
        if count > most:
            wrong.append(f"{key} keeps {count} old containers")
    return wrong + crowds(spec.services, running)


def differences(wish: Wish, service: Service, host: str, box: Box) -> list[str]:
    wrong = []
    if f"-c {service.options.context_length}" not in " ".join(box.spec.command):
        wrong.append(f"{box.name} has another context: {box.spec.command}")
    ports = [int(name) for kind, name in box.claims() if kind == "port"]
    if service.port.number is not None and service.port.on_conflict == "fail" and ports != [service.port.number]:
        wrong.append(f"{box.name} has the ports {ports}")
    if len(ports) != 1 or (service.container.network == "host") != (box.spec.network == "host"):
        wrong.append(f"{box.name} is on the network {box.spec.network} with ports {ports}")
    if box.status != "running":
        wrong.append(f"{box.name} is {box.status}")
    if box.restart != service.container.restart:
        wrong.append(f"{box.name} has the restart policy {box.restart}")
    if host not in allowed_hosts(wish, service):
        wrong.append(f"{box.name} must not be on {host}")
    if box.secrets != ({"key": wish.resolved.secrets["key"]} if service.env else {}):
        wrong.append(f"{box.name} was given another secret")
    if not fits_gpus(service, host, box):
        wrong.append(f"{box.name} has the GPUs {box.spec.gpus}")
    return wrong


def allowed_hosts(wish: Wish, service: Service) -> list[str]:
    match service.placement.hosts:
        case None:
            return list(HOSTS)
        case dict(labels):
            return [host for host in HOSTS if wish.racks[host] == labels["rack"]]
        case names:
            return list(names)


def fits_gpus(service: Service, host: str, box: Box) -> bool:
    asked: Any = service.placement.gpus
    if asked == "auto":
        return len(box.spec.gpus) <= 1
    if isinstance(asked, tuple):
        names = asked[box.key.index] if isinstance(asked[0], tuple) else asked
        pool = {f"GPU-{name.replace(':', '-')}" for name in names}
        return len(box.spec.gpus) == 1 and set(box.spec.gpus) <= pool
    return len(box.spec.gpus) == (0 if asked == "none" else asked)


def crowds(services: dict[str, Service], running: dict[Key, list[tuple[str, Box]]]) -> list[str]:
    count: dict[tuple[str, str], int] = {}
    for (name, _), here in running.items():
        for host, _ in here:
            count[name, host] = count.get((name, host), 0) + 1
    return [
        f"{number} replicas of {name} are on {host}"
        for (name, host), number in sorted(count.items())
        if name in services and number > (services[name].placement.max_per_host or number)
    ]
