"""How long planning on recorded facts takes, from 100 to 10,000 hosts: `python -m tests.bench.planning`.

Prints a table and asserts nothing about time. Each host has 8 GPUs; there is one service for two hosts, with four
replicas of one, two or four GPUs each. `new`: nothing runs yet; `no-op`: everything runs as asked; `edit`: one option
of every service was changed. Each figure is the best of `--repeat` runs, in seconds of the processor: planning
has one thread.
"""

from __future__ import annotations

import argparse
import gc
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from deployer.planning.planner import plan
from deployer.spec.project import Project
from deployer.values.facts import DockerFacts, HostFacts, ImageFact, Listener, ObservedState, PathFact
from deployer.values.gpu_facts import Gpu, GpuFacts
from deployer.values.operations import CreateContainer
from deployer.values.plan import Plan
from deployer.values.resolved import Resolved
from tests.support.planning import MODEL, project_of
from tests.support.world import Box

GPUS = 8
REPLICAS = 4
RACK = 20  # hosts


def services_for(hosts: int, edited: bool = False, count: int | None = None) -> dict[str, dict[str, Any]]:
    """One in three may go anywhere, one in three is bound to a rack, one in three to a tier of a tenth of the hosts."""
    racks = max(1, hosts // RACK)
    return {
        f"s{n:05}": {
            "replicas": REPLICAS,
            "options": {"context_length": 8192 if edited else 4096},
            "placement": {"gpus": (1, 2, 1, 4)[n % 4]} | ({}, rack(n, racks), {"hosts": {"tier": f"t{n % 10}"}})[n % 3],
        }
        for n in range(count or hosts // 2)
    }


def rack(number: int, racks: int) -> dict[str, Any]:
    return {"hosts": {"rack": f"r{number % racks}"}}


def make_project(hosts: int, edited: bool = False, count: int | None = None) -> Project:
    found = {name_of(n): {"labels": {"rack": f"r{n // RACK}", "tier": f"t{n % 10}"}} for n in range(hosts)}
    return project_of(services_for(hosts, edited, count), found)


def name_of(number: int) -> str:
    return f"h{number:05}"


def empty_host(name: str) -> HostFacts:
    cards = tuple(Gpu(i, f"GPU-{name}-{i}", "NVIDIA H100", 80 << 30) for i in range(GPUS))
    ports = tuple(Listener("0.0.0.0", port, "tcp", "process sshd (pid 1)") for port in (22, 53, 111, 9100))
    return HostFacts(
        name=name, hostname=name, os="Debian", kernel="6", arch="x86_64", uid=0, gid=0, user="root", cpus=96,
        memory_total=1 << 40, memory_available=1 << 40, time="2026-01-01T00:00:00Z", docker=DockerFacts("27", "1.47"),
        gpu=GpuFacts(gpus=cards), listeners=ports, paths={MODEL: PathFact(MODEL, "file", size=1)},
        images=tuple(ImageFact(f"sha256:{n}", tags=(f"ghcr.io/some/image:{n}",)) for n in range(10)),
    )  # fmt: skip


def applied(found: Plan, state: ObservedState) -> ObservedState:
    """The hosts as they are once the plan was done."""
    hosts: dict[str, Any] = dict(state.hosts)
    boxes: dict[str, list[Box]] = {}
    for number, step in enumerate(found.steps):
        if isinstance(step.operation, CreateContainer):
            create = step.operation
            made = Box(f"id{number}", create.name, create.spec, dict(create.labels), 1, "running", "always", number)
            boxes.setdefault(step.host, []).append(made)
    for name, here in boxes.items():
        hosts[name] = with_boxes(hosts[name], here)
    return ObservedState(hosts)


def with_boxes(facts: HostFacts, boxes: list[Box]) -> HostFacts:
    ports = tuple(Listener("127.0.0.1", p.host, "tcp", f"container {b.name}") for b in boxes for p in b.spec.ports)
    images = tuple(ImageFact(f"sha256:x{n}", tags=(image,)) for n, image in enumerate({b.spec.image for b in boxes}))
    seen = tuple(box.observed(("lab", "1")) for box in boxes)
    return replace(facts, containers=seen, listeners=facts.listeners + ports, images=facts.images + images)


def best_of(repeat: int, work: Callable[[], Plan]) -> tuple[float, Plan]:
    best = float("inf")
    for _ in range(repeat):
        gc.collect()
        began = time.process_time()
        found = work()
        best = min(best, time.process_time() - began)
    return best, found


def measured(sizes: list[int], repeat: int, count: int | None) -> Iterator[tuple[int, int, int, list[float]]]:
    for hosts in sizes:
        project, edited = make_project(hosts, count=count), make_project(hosts, edited=True, count=count)
        state = ObservedState({name_of(n): empty_host(name_of(n)) for n in range(hosts)})
        new, first = best_of(repeat, lambda p=project, s=state: plan(p, s, Resolved()))  # type: ignore[misc]
        state = applied(first, state)
        noop, _ = best_of(repeat, lambda p=project, s=state: plan(p, s, Resolved()))  # type: ignore[misc]
        edit, _ = best_of(repeat, lambda p=edited, s=state: plan(p, s, Resolved()))  # type: ignore[misc]
        yield hosts, len(project.spec.services), len(first.placements), [new, noop, edit]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--hosts", type=int, nargs="+", default=[100, 1000, 10_000])
    arguments.add_argument("--services", type=int, help="this many, whatever the number of hosts")
    arguments.add_argument("--repeat", type=int, default=3)
    given = arguments.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, {platform.processor() or 'unknown CPU'}")
    print(f"{'hosts':>6} {'services':>8} {'replicas':>8} {'new':>8} {'no-op':>8} {'edit':>8}")
    for hosts, services, replicas, seconds in measured(given.hosts, given.repeat, given.services):
        print(f"{hosts:>6} {services:>8} {replicas:>8}", *(f"{value:>8.2f}" for value in seconds), flush=True)


if __name__ == "__main__":
    main()
