"""Battery: a transfer that is begun again whenever it ended, and what is struck at random meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from labkit.hosts import Lab
from labkit.project import Project, Run
from labkit.waiting import eventually
from labkit.warm import Running

TASKS = "docker ps -aq --no-trunc --filter label=deployer.role=task"


@dataclass
class Battery:
    """A command that is begun again whenever it ended, and what is struck meanwhile. `source`: bytes that it gave."""

    lab: Lab
    project: Project
    command: tuple[str, ...]
    hosts: tuple[str, ...]
    victims: tuple[str, ...]
    chance: random.Random
    source: Callable[[], int]
    forget: Callable[[], object]
    patience: float = 1.5  # seconds at most between the first bytes and the blow
    running: Running | None = None
    kills: dict[str, int] = field(default_factory=dict)
    rounds: int = 0  # times that it came whole in between, and was taken away

    def strike(self, times: int) -> None:
        while sum(self.kills.values()) < times:
            running = self.begun()
            self.await_bytes(running)
            if running.is_over_within(self.chance.uniform(0, self.patience)):
                continue
            victim, host = self.chance.choice(self.victims), self.chance.choice(self.hosts)
            if getattr(self, victim)(host):
                self.kills[victim] = self.kills.get(victim, 0) + 1
        self.controller("")

    def await_bytes(self, running: Running) -> None:
        before = self.came()
        with suppress(AssertionError):  # it waits for something else
            eventually(lambda: self.came() > before + 100_000 or running.is_over_within(0), 20)

    def begun(self) -> Running:
        if self.running is not None and self.running.is_over_within(0):
            done = self.running.finish(self.command, 30)
            self.running = None
            if self.project.checked(Run(self.command, done.returncode, done.stdout, done.stderr), None).code == 0:
                self.rounds += 1
                self.forget()
        if self.running is None:
            self.running = self.project.begin(*self.command)
        return self.running

    def came(self) -> int:
        return max(received(self.lab, host) for host in self.hosts)

    # --- what is struck; True where something died

    def controller(self, _: str) -> bool:
        if self.running is not None:
            self.running.kill()
            self.running.finish(self.command, 30)
            for host in self.hosts:
                self.lab.sh(host, "rm -f /var/lib/deployer/*/lock")  # its lease would be waited for
        self.running = None
        return True

    def session(self, host: str) -> bool:
        return "hit" in self.lab.sh(host, "pkill -9 -f '^sshd: root' && echo hit; true")

    def curl(self, host: str) -> bool:
        return "hit" in self.lab.sh(host, "pkill -9 -x curl && echo hit; true")

    def peer(self, host: str) -> bool:
        return bool(self.lab.sh(host, f"{TASKS} | xargs -r docker kill 2>/dev/null; true").strip())

    def dockerd(self, host: str) -> bool:
        with self.lab.broken("kill-docker", host):
            return True


def received(lab: Lab, host: str) -> int:
    """Bytes that ever came to the host."""
    (line,) = [line for line in lab.run(host, "cat", "/proc/net/dev").splitlines() if "eth0:" in line]
    return int(line.split()[1])
