"""A lab of very many hosts, what the deployer weighs while it works on them, and what their sshds saw of it."""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labkit import images, models
from labkit.cache import cache_dir
from labkit.hosts import LLAMA, OPEN_PORT, Lab, number
from labkit.oci import push

HOSTS = int(os.environ.get("LAB_STORM", "100"))
LOOK_EVERY = 0.02  # seconds
ACCEPTED = re.compile(r"^Accepted publickey for \S+ from (\S+) ", re.MULTILINE)
DROPPED = re.compile(r"MaxStartups|drop connection|no more sessions", re.IGNORECASE)


@contextmanager
def storm_beside(lab: Lab) -> Iterator[Lab]:
    """A lab of HOSTS hosts beside this one, up while the block runs; the models are where this machine has them."""
    first, second, third = lab.network.split(".")
    network = f"{first}.{second}.{int(third) + 1}"
    storm = Lab(f"{lab.prefix}s", network, HOSTS, shares=(str(cache_dir()),))
    try:
        storm.up(timeout=600)
        push(images.llama_cpp(), f"{network}.1:{OPEN_PORT}", LLAMA.partition("/")[2])
        yield storm
    finally:
        if not os.environ.get("LAB_KEEP"):
            storm.down(timeout=600)


def spec(lab: Lab, replicas: tuple[str, ...]) -> str:
    """All hosts of the lab, and one replica of a small model on each of these."""
    return f"""\
version: 1
project: storm
id: lab-storm
hosts: {{{", ".join(f"{host}: {{}}" for host in lab.hosts)}}}
models:
  tiny: {{source: "file://{models.tiny_gguf()}"}}
services:
  chat:
    model: tiny
    backend: llama.cpp
    image: "{LLAMA}"
    args: ["-t", "1"]
    options: {{context_length: 256, max_concurrency: 1}}
    placement: {{gpus: none, max_per_host: 1, hosts: [{", ".join(replicas)}]}}
    replicas: {len(replicas)}
"""


def behind(lab: Lab, jump: str, target: Path) -> Path:
    """An ssh configuration that reaches every host, but for the jump host itself, through the jump host."""
    target.write_text(f"Host {jump}\n  ProxyJump none\nHost lab*\n  ProxyJump {jump}\n{lab.ssh_config.read_text()}")
    return target


# --- what the hosts saw ----------------------------------------------------------------


def sshd_log(lab: Lab, host: str) -> str:
    pid = (lab.directory / f"h{number(host)}" / "pid").read_text().strip()
    return Path(f"/proc/{pid}/root/run/sshd.log").read_text()


def logins(lab: Lab) -> Counter[tuple[str, str]]:
    """Logins by host and by the address they came from."""
    return Counter((host, source) for host in lab.hosts for source in ACCEPTED.findall(sshd_log(lab, host)))


def refusals(lab: Lab) -> dict[str, list[str]]:
    """What sshds said of connections and sessions that they refused, by host."""
    said = {host: [line for line in sshd_log(lab, host).splitlines() if DROPPED.search(line)] for host in lab.hosts}
    return {host: lines for host, lines in said.items() if lines}


@contextmanager
def frozen_ssh(lab: Lab, host: str) -> Iterator[None]:
    """The host's sshd, and all its connections, stand still while the block runs."""
    lab.sh(host, "kill -STOP $(pgrep -x sshd)")
    try:
        yield
    finally:
        lab.sh(host, "kill -CONT $(pgrep -x sshd)")


# --- what the deployer weighs ------------------------------------------------------------


@dataclass(slots=True)
class Footprint:
    """The peaks of one process. Memory is what is resident, in MiB."""

    threads: int = 0
    memory: int = 0


@contextmanager
def weighed(pid: int) -> Iterator[Footprint]:
    found, over = Footprint(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_EVERY):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                return
            values = dict(re.findall(r"^(Threads|VmHWM):\s+(\d+)", status, re.MULTILINE))
            found.threads = max(found.threads, int(values.get("Threads", 0)))
            found.memory = max(found.memory, int(values.get("VmHWM", 0)) // 1024)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield found
    finally:
        over.set()
        looking.join()
