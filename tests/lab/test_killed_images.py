"""Images at whose transfer something dies, at random, again and again: one more apply serves, nothing half is left."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from labkit import images
from labkit.battery import TASKS, Battery, received
from labkit.hosts import OPEN_PORT, STAND_IN, Lab
from labkit.oci import Image, layer, push, save
from labkit.project import Project
from labkit.relay import BadRegistry
from labkit.waiting import eventually

KILLS = int(os.environ.get("LAB_KILLS", "18"))
HOST, RATE = "lab2", 30e6
LAYER, LAYERS = 24 << 20, 6
BATCH = 64 << 20  # bytes that go to Docker at once: what a kill can cost
AT_ONCE = 3 * LAYER  # that Docker pulls at once, and keeps nothing of before they are whole
MOST_AGAIN = 1.15  # of all bytes: headers of packets, and of SSH's
CHAT = 'chat: {model: tiny, image: %s, env: {STANDIN_DELAY: "0"}}'
LEFT = f"""
docker images -q -f dangling=true --no-trunc; {TASKS}
find /var/lib/docker/tmp -type f; ls -A /root/.docker 2>/dev/null; true"""


def large(seed: int) -> Image:
    """The stand-in below layers that cannot be compressed."""
    parts = [layer({f"opt/noise{n}": random.Random(seed + n).randbytes(LAYER)}) for n in range(LAYERS)]
    made = images.stand_in()
    return Image((*made.layers, *parts), made.config)


def size_of(image: Image) -> int:
    return sum(len(blob.data) for blob in image.layers)


@contextmanager
def absent(lab: Lab, name: str) -> Iterator[Callable[[], object]]:
    """The host has no layer of it, now and whenever what this gives is called."""
    gone = f"docker ps -aq | xargs -r docker rm -f; docker images -q '{name}' | xargs -r docker rmi -f"
    lab.sh(HOST, f"docker rmi -f {STAND_IN}")
    try:
        yield lambda: lab.sh(HOST, f"{gone}; docker image prune -f")
    finally:
        lab.sh(HOST, f"{gone}; docker image prune -f", check=False)
        lab.run(HOST, "docker", "pull", "-q", STAND_IN)


def nothing_is_left(lab: Lab) -> bool:
    left = lab.sh(HOST, LEFT)
    assert left == ""
    return True


def must_serve(lab: Lab, project: Project, cache: Path) -> None:
    """One more apply, after which nothing is left of those that died."""
    project.run("apply", "-y", "--lock-wait", "120", timeout=300)
    project.must_be_settled()
    eventually(lambda: nothing_is_left(lab), 60)
    assert [path for path in cache.rglob("*") if path.suffix in (".part", ".new")] == []


def told(name: str, battery: Battery, size: int, came: int) -> None:
    print(f"{name}: {battery.kills}, whole {battery.rounds} times before; {size} bytes, from the source "
          f"{battery.source()}, to the host {came}")  # fmt: skip


@pytest.fixture
def cache(project: Project, tmp_path: Path) -> Path:
    project.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_an_image_that_the_host_pulls(lab: Lab, project: Project, cache: Path) -> None:
    made = large(10)
    push(made, f"{lab.network}.1:{OPEN_PORT}", "lab/pulled:1")
    with BadRegistry(f"{lab.network}.1", OPEN_PORT, rate=RATE / 9) as registry:  # of each connection
        name = f"{registry.name}/lab/pulled"
        project.write(CHAT % f'"{name}:1"', hosts=f"{{{HOST}: {{}}}}")
        with absent(lab, name) as forget:
            victims = ("controller", "session", "dockerd")
            battery = Battery(lab, project, ("cache", "pull"), (HOST,), victims, random.Random(1),
                              lambda: registry.passed, forget, patience=12)  # fmt: skip
            before = received(lab, HOST)
            battery.strike(KILLS)
            must_serve(lab, project, cache)
            told("pulled", battery, size_of(made), received(lab, HOST) - before)
            assert registry.passed <= (battery.rounds + 1) * size_of(made) * MOST_AGAIN + KILLS * AT_ONCE


@pytest.mark.heavy
@pytest.mark.parametrize("victim", ["controller", "session"])
def test_a_pull_that_took_a_while_must_outlive_its_asker(lab: Lab, project: Project, cache: Path, victim: str) -> None:
    """Docker would drop all layers of a pull that nobody waits for."""
    made = large(40)
    push(made, f"{lab.network}.1:{OPEN_PORT}", "lab/kept:1")
    with BadRegistry(f"{lab.network}.1", OPEN_PORT, rate=RATE / 9) as registry:
        name = f"{registry.name}/lab/kept"
        project.write(CHAT % f'"{name}:1"', hosts=f"{{{HOST}: {{}}}}")
        with absent(lab, name):
            running = project.begin("cache", "pull")
            eventually(lambda: registry.passed > size_of(made) * 0.6, 60)
            if victim == "session":
                lab.sh(HOST, "pkill -9 -f '^sshd: root'")
            running.kill()
            running.finish(("cache", "pull"), 30)
            must_serve(lab, project, cache)
            assert registry.passed <= size_of(made) * MOST_AGAIN
            assert lab.sh(HOST, "pgrep -x curl; true") == ""


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", ["registry", "archive"])
def test_an_image_over_the_connection(lab: Lab, project: Project, cache: Path, way: str) -> None:
    made = large(20 if way == "registry" else 30)
    push(made, f"{lab.network}.1:{OPEN_PORT}", "lab/large:1")
    with BadRegistry(f"{lab.network}.1", OPEN_PORT, rate=RATE, at="127.0.0.1") as registry:
        name = f"{registry.address}/lab/large"
        image = f'"{name}:1"'
        if way == "archive":
            save(made, "lab/large:1", project.folder / "large.tar")
            image, name = "{name: reg.local/large:1, archive: large.tar}", "reg.local/large"
        project.write(CHAT % image, hosts=f"{{{HOST}: {{fetch: controller}}}}")
        with absent(lab, name) as forget:
            battery = Battery(lab, project, ("cache", "pull"), (HOST,), ("controller", "session", "dockerd"),
                              random.Random(2), lambda: registry.passed, forget, patience=5)  # fmt: skip
            before = received(lab, HOST)
            lab.fault("narrow", HOST, str(int(RATE * 8 / 1e6)))
            try:
                battery.strike(KILLS)
            finally:
                lab.fault("heal", HOST)
            must_serve(lab, project, cache)
            came = received(lab, HOST) - before
            told(way, battery, size_of(made), came)
            assert registry.passed <= size_of(made) * MOST_AGAIN, "what the controller has it keeps"
            assert came <= ((battery.rounds + 1) * size_of(made) + KILLS * (BATCH + LAYER)) * MOST_AGAIN
