"""One model to 1, 2, 4 and 8 hosts whose links are narrow: the time of one copy, and the source read once."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.groups import DEPLOYER
from tests.bench.hosts import IMAGE
from tests.bench.measure import Goal, Program
from tests.support.hub import Hub

if TYPE_CHECKING:
    from labkit.hosts import Lab

COUNTS = (1, 2, 4, 8)
MODEL, FILE = "org/large-GGUF", "large-q4_k_m.gguf"
SPEC = """\
version: 1
project: bench
id: bench
hubs: {{hf: {{endpoint: "{hub}"}}}}
hosts: {{{hosts}}}
models:
  large: {{source: "hf://{model}"}}
services:
  chat:
    model: large
    backend: llama.cpp
    image: {image}
    replicas: {count}
    placement: {{gpus: none, max_per_host: 1}}
"""


@contextmanager
def programs(lab: Lab, folder: Path, megabytes: int, mbit: int) -> Iterator[list[Program]]:
    """The image is on the hosts already: weights alone are brought."""
    hub = Hub((f"{lab.network}.1", 0))
    hub.repo(MODEL, {FILE: random.Random(8).randbytes(megabytes << 20)})
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda host: lab.run(host, "docker", "pull", "-q", IMAGE), lab.hosts))
        for host in lab.hosts:
            lab.fault("narrow", host, str(mbit))
        yield [program(lab, folder, hub, count) for count in COUNTS]
    finally:
        hub.close()


def program(lab: Lab, folder: Path, hub: Hub, count: int) -> Program:
    spec = folder / f"fanout-{count}.yaml"
    hosts = ", ".join(f"{host}: {{}}" for host in lab.hosts[:count])
    spec.write_text(SPEC.format(hub=hub.url, hosts=hosts, model=MODEL, image=IMAGE, count=count))
    argv = [DEPLOYER, "cache", "pull", "-f", str(spec), "--ssh-config", str(lab.ssh_config)]
    goals = (Goal(1.3, name(1)),) if count > 1 else ()
    return Program(
        name(count), argv, goals, partial(forget, lab, hub), hosts=count, after=partial(read_once, lab, hub, count)
    )


def name(count: int) -> str:
    return f"deployer cache pull, {count} host{'s' if count > 1 else ''}"


def forget(lab: Lab, hub: Hub) -> None:
    hub.served.clear()
    for host in lab.hosts:
        lab.sh(host, "rm -rf /var/lib/deployer")


def read_once(lab: Lab, hub: Hub, count: int) -> str:
    """What is wrong; the whole of it came to each host, and once from its source."""
    data = next(iter(hub.repos[MODEL].commits.values()))[FILE]
    print(f"{name(count)}: {hub.total / len(data):.3f} times from the source", file=sys.stderr, flush=True)
    if hub.total != len(data):
        return f"{hub.total} bytes were read at the source instead of {len(data)}"
    sizes = [lab.sh(host, "stat -L -c %s /var/lib/deployer/cache/hub/*/snapshots/*/*") for host in lab.hosts[:count]]
    return "" if {int(size) for size in sizes} == {len(data)} else f"it is not whole everywhere: {sizes}"
