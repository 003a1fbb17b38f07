"""Hosts that need one model read its source once and pass it on to each other, whoever of them dies meanwhile."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

import pytest
from labkit import models
from labkit.hosts import Lab
from labkit.project import HEAD, Project, Run
from labkit.waiting import eventually

from tests.support.hub import Hub

NAME, FILE = "org/tiny-GGUF", "tiny-q4_k_m.gguf"
BLOBS = "/var/lib/deployer/cache/hub/models--org--tiny-GGUF/blobs"
EXTRA = random.Random(4).randbytes(4_000_000)
HOSTS = ("lab1", "lab2", "lab3")
PEERS = "docker ps -aq --no-trunc --filter label=deployer.role=task"


@pytest.fixture
def hub(lab: Lab) -> Iterator[Hub]:
    made = Hub((f"{lab.network}.1", 0))
    made.repo(NAME, {FILE: models.tiny_gguf().read_bytes(), "extra.dat": EXTRA})
    yield made
    made.close()


@pytest.fixture
def whole() -> int:
    return len(EXTRA) + models.tiny_gguf().stat().st_size


def write(project: Project, hub: Hub, host: str = "") -> None:
    head = HEAD.replace("models:\n", f"models:\n  hub: {{source: 'hf://{NAME}', include: ['*.gguf', '*.dat']}}\n")
    hosts = ", ".join(f"{name}: {{{host}}}" for name in HOSTS)
    services = "services:\n  chat: {model: hub, replicas: 3, placement: {gpus: none, max_per_host: 1}}\n"
    project.write_whole(f"{head}hubs: {{hf: {{endpoint: '{hub.url}'}}}}\nhosts: {{{hosts}}}\n{services}")


def must_have_it(lab: Lab, *hosts: str) -> None:
    sums = {lab.sh(host, f"cd {BLOBS} && sha256sum * && ls").replace(host, "") for host in hosts}
    assert len(sums) == 1
    assert ".part" not in sums.pop()


def must_be_gone(lab: Lab, *hosts: str) -> None:
    """Peer containers, and what they were made of."""
    for host in hosts:
        eventually(lambda host=host: not lab.sh(host, PEERS), 30)
        assert "deployer-peer" not in lab.sh(host, "docker images")


def bound(lab: Lab, host: str) -> str:
    """The address that the host's peer container is reached at."""
    (id_,) = lab.sh(host, PEERS).split()
    (binding,) = lab.inspect(host, id_)["HostConfig"]["PortBindings"]["8000/tcp"]
    return str(binding["HostIp"])


def notes(run: Run) -> str:
    return " ".join(run.err.split())


def test_a_model_must_be_read_once_for_all_hosts(lab: Lab, project: Project, hub: Hub, whole: int) -> None:
    write(project, hub)
    hub.faults.rate = 2_500_000
    fetches = {step["host"]: step for step in project.plan()["steps"] if step["op"] == "fetch-weights"}
    ways = [fetches[host]["what"].partition(" from ")[2] for host in HOSTS]
    assert ways == ["the hub", "peer lab1", "peer lab2"]
    assert {step["bytes"] for step in fetches.values()} == {whole}
    running = project.start("cache", "pull")
    eventually(lambda: lab.sh("lab3", f"ls {BLOBS}/*.part 2>/dev/null; true"), 60)
    assert hub.total < whole, "it is passed on while it arrives"
    assert [bound(lab, host) for host in HOSTS[:2]] == [lab.address(host) for host in HOSTS[:2]]
    project.finish(running, "cache", "pull")
    assert hub.total == whole
    must_have_it(lab, *HOSTS)
    must_be_gone(lab, *HOSTS)
    lab.sh("lab1", "rm -rf /var/lib/deployer/cache")
    (fetch,) = (step for step in project.plan()["steps"] if step["op"] == "fetch-weights")
    assert fetch["what"].endswith(" from peer lab2")
    project.run("cache", "pull")
    assert hub.total == whole, "who has it whole serves it"
    must_have_it(lab, *HOSTS)
    must_be_gone(lab, *HOSTS)


@pytest.mark.heavy
def test_a_controller_that_is_killed_must_leave_no_peer(lab: Lab, project: Project, hub: Hub, whole: int) -> None:
    write(project, hub, host="fetch: controller")
    hub.faults.rate = 1_500_000
    running = project.start("cache", "pull")
    eventually(lambda: lab.sh("lab3", f"ls {BLOBS}/*.part 2>/dev/null; true"), 60)
    project.interrupt(running, signal.SIGKILL)
    running.communicate()
    for host in HOSTS:
        eventually(lambda host=host: not lab.sh(host, PEERS), 30)
    hub.faults.rate = None
    before = hub.total
    project.run("cache", "pull")
    assert hub.total - before <= whole, "the controller reads once for all hosts"
    must_have_it(lab, *HOSTS)
    must_be_gone(lab, *HOSTS)


@pytest.mark.heavy
def test_a_middle_host_that_dies_must_be_passed_over(lab: Lab, project: Project, hub: Hub, whole: int) -> None:
    write(project, hub)
    hub.faults.rate = 300_000
    running = project.start("cache", "pull")
    eventually(lambda: lab.sh("lab3", f"ls {BLOBS}/*.part 2>/dev/null; true"), 60)
    lab.fault("cut", "lab2")
    failed = project.finish(running, "cache", "pull", exit=1, timeout=300)
    assert "peer `lab2` gives no more" in notes(failed)
    assert hub.total == whole
    must_have_it(lab, "lab1", "lab3")
    lab.fault("heal", "lab2")
    project.run("cache", "pull")  # or what still ran there, cut off, has brought it
    must_have_it(lab, *HOSTS)
    must_be_gone(lab, "lab1", "lab3")  # that of a host that was cut off ends by itself, after ten idle minutes


@pytest.mark.heavy
@pytest.mark.parametrize("host", ["", "fetch: controller"])
def test_hosts_that_cannot_reach_each_other_must_get_it_all_the_same(
    lab: Lab, project: Project, hub: Hub, whole: int, host: str
) -> None:
    write(project, hub, host)
    for name in HOSTS:
        for other in HOSTS:
            if other != name:
                lab.sh(name, f"iptables -w -I INPUT -s {lab.address(other)} -j DROP")
                lab.sh(name, f"iptables -w -I FORWARD -s {lab.address(other)} -j DROP")
    try:
        done = project.run("cache", "pull", timeout=300)
    finally:
        for name in HOSTS:
            for other in HOSTS:
                if other != name:
                    lab.sh(name, f"iptables -w -D INPUT -s {lab.address(other)} -j DROP")
                    lab.sh(name, f"iptables -w -D FORWARD -s {lab.address(other)} -j DROP")
    assert notes(done).count("peer `lab1` gives no more") == 2
    must_have_it(lab, *HOSTS)
    must_be_gone(lab, *HOSTS)
