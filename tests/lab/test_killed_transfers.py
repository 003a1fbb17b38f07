"""Transfers at which something dies at random, fifty times each way: what comes again is what was on the way."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from labkit.battery import TASKS, Battery, received
from labkit.hosts import OPEN_PORT, STAND_IN, Lab
from labkit.project import HEAD, Project
from labkit.waiting import eventually

from tests.support.hub import Hub, sha256

KILLS = int(os.environ.get("LAB_KILLS", "50"))
NAME, CACHE = "org/large-GGUF", "/var/lib/deployer/cache"
BLOBS = f"{CACHE}/hub/models--org--large-GGUF/blobs"
PARTS = {f"large-q4_k_m-0000{part}-of-00002.gguf": random.Random(part).randbytes(10 << 20) for part in (1, 2)}
WHOLE = sum(map(len, PARTS.values()))
ON_THE_WAY = 2 << 20  # bytes of one transfer that were sent and not yet written: sockets, SSH's windows
MOST_AGAIN = 1.15  # of all bytes: headers of packets, and of SSH's


@pytest.fixture
def hub(lab: Lab) -> Iterator[Hub]:
    made = Hub((f"{lab.network}.1", 0))
    made.repo(NAME, PARTS)
    yield made
    made.close()


def write(project: Project, hub: Hub, hosts: tuple[str, ...], host: str = "") -> None:
    head = HEAD.replace("models:\n", f"models:\n  hub: {{source: 'hf://{NAME}'}}\n").replace("var.llama", "var.standin")
    said = ", ".join(f"{name}: {{{host}}}" for name in hosts)
    services = (
        f"services:\n  chat: {{model: hub, replicas: {len(hosts)}, placement: {{gpus: none, max_per_host: 1}}}}\n"
    )
    project.write_whole(f"{head}hubs: {{hf: {{endpoint: '{hub.url}'}}}}\nhosts: {{{said}}}\n{services}")


def forgotten(lab: Lab, hosts: tuple[str, ...]) -> None:
    for host in hosts:
        lab.sh(host, f"rm -rf {CACHE}")


def must_be_whole(lab: Lab, hosts: tuple[str, ...]) -> None:
    for host in hosts:
        sums = {line.split()[0] for line in lab.sh(host, f"sha256sum {BLOBS}/*").splitlines()}
        assert sums == {sha256(data) for data in PARTS.values()}
        assert sorted(lab.sh(host, f"ls {BLOBS}").split()) == sorted(sums)


def must_be_gone(lab: Lab, hosts: tuple[str, ...]) -> None:
    for host in hosts:
        eventually(lambda host=host: not lab.sh(host, TASKS), 60)


def told(name: str, battery: Battery, came: dict[str, int]) -> None:
    print(f"{name}: {battery.kills}, whole {battery.rounds} times before; from the source {battery.source()}, {came}")


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_hosts_that_pass_it_on(lab: Lab, project: Project, hub: Hub) -> None:
    hosts = lab.hosts
    write(project, hub, hosts)
    hub.faults.rate = 250_000
    before = {host: received(lab, host) for host in hosts}
    victims = ("controller", "session", "curl", "peer", "dockerd")
    battery = Battery(lab, project, ("cache", "pull"), hosts, victims, random.Random(1), lambda: hub.total,
                      lambda: forgotten(lab, hosts))  # fmt: skip
    battery.strike(KILLS)
    hub.faults.rate = None
    project.run("cache", "pull", timeout=300)
    came = {host: received(lab, host) - before[host] for host in hosts}
    told("peers", battery, came)
    must_be_whole(lab, hosts)
    must_be_gone(lab, hosts)
    for count in came.values():
        assert count <= (battery.rounds + 1) * WHOLE * MOST_AGAIN + KILLS * ON_THE_WAY


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_what_the_controller_brings(lab: Lab, project: Project, hub: Hub) -> None:
    hosts = ("lab1",)
    write(project, hub, hosts, "fetch: controller")
    hub.faults.rate = 250_000
    before = received(lab, "lab1")
    battery = Battery(lab, project, ("cache", "pull"), hosts, ("controller", "session"), random.Random(2),
                      lambda: hub.total, lambda: forgotten(lab, hosts))  # fmt: skip
    battery.strike(KILLS)
    hub.faults.rate = None
    project.run("cache", "pull", timeout=300)
    came = {"lab1": received(lab, "lab1") - before}
    told("push", battery, came)
    must_be_whole(lab, hosts)
    most = (battery.rounds + 1) * WHOLE + KILLS * ON_THE_WAY
    assert hub.total <= most
    assert came["lab1"] <= most * MOST_AGAIN


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_what_a_bundle_brings(lab: Lab, project: Project, hub: Hub, tmp_path: Path) -> None:
    hosts, gateway = ("lab1",), f"{lab.network}.1:{OPEN_PORT}"
    write(project, hub, hosts)
    project.edit(f'standin: "{STAND_IN}"', f'standin: "{STAND_IN.replace("registry.lab:5000", gateway)}"')
    project.edit("services:\n", f"registries: {{'{gateway}': {{plain_http: true}}}}\nservices:\n")
    project.environment["HOME"] = str(tmp_path)
    project.run("lock")
    project.run("bundle", "create", "-o", "all.tar", "--unsigned")
    before = received(lab, "lab1")
    command = ("apply", "-y", "--bundle", "all.tar", "--allow-unsigned")
    battery = Battery(lab, project, command, hosts, ("controller", "session"), random.Random(4), lambda: 0,
                      lambda: forgotten(lab, hosts))  # fmt: skip
    lab.fault("narrow", "lab1", "4")
    try:
        battery.strike(KILLS)
    finally:
        lab.fault("heal", "lab1")
    project.run(*battery.command, "--lock-wait", "120", timeout=300)
    came = {"lab1": received(lab, "lab1") - before}
    told("bundle", battery, came)
    must_be_whole(lab, hosts)
    assert came["lab1"] <= (battery.rounds + 1) * WHOLE * MOST_AGAIN + KILLS * ON_THE_WAY
