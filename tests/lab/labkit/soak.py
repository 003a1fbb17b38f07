"""A soak: applies that something happens to, again and again; after each, one more apply must set all right.

What happens, where and when comes from one random generator, so that a seed tells a whole soak again (but for what the
hosts' own timing adds).
"""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.hosts import REMEDIES, Lab
from labkit.project import Project, Run
from labkit.waiting import eventually

HOSTS = ("lab1", "lab2")
KEPT = 1  # predecessors that a replica keeps, stopped
FORGET = "rm -f /var/lib/deployer/lab/lock"  # as if the dead apply's lease had run out
LOOK = """docker ps -aq | xargs -r docker inspect && echo --- &&
find /var/lib/deployer -name '*.new*' -o -path '*/lab/lock'"""
EDITS = ("chat", "fixed", "guest", "all")
FAULTS = (
    "kill",
    "kill",
    "kill-docker",
    "stop-docker",
    "kill-ssh",
    "cut",
    "power-off",
    "kill+kill-docker",
    "kill+power-off",
)
LEAKED = "leftover docker-proxy"
DOCKER_ANSWERS = "for _ in $(seq 600); do docker version >/dev/null 2>&1 && exit; sleep 0.1; done; exit 1"
LONGEST = 240.0  # seconds for an apply that something happens to
BEGUN = 1  # line of `apply --json` that the plan is


@dataclass(frozen=True, slots=True)
class Blow:
    """`fault` at `host`, after so many lines of progress and then so many seconds; it is healed after `heals`."""

    edit: str
    fault: str
    host: str
    lines: int
    seconds: float = 0.0
    heals: float = 0.0

    def __str__(self) -> str:
        when = f"line {self.lines} + {self.seconds:.2f} s"
        return f"edit {self.edit}: {self.fault} at {self.host}, {when}, healed after {self.heals:.1f} s"


@dataclass
class Soak:
    """`counts`: of edits so far, by service; `guest`: whether that service is wanted."""

    lab: Lab
    project: Project
    counts: dict[str, int] = field(default_factory=lambda: {"chat": 0, "fixed": 0, "guest": 0})
    guest: bool = False

    # --- the spec ---------------------------------------------------------------------

    def write(self) -> None:
        chat, fixed, guest = (f'env: {{ROUND: "{self.counts[name]}"}}' for name in ("chat", "fixed", "guest"))
        services = f"""
chat:
  model: tiny
  replicas: 2
  {chat}
  port: {{bind: 0.0.0.0}}
  placement: {{gpus: none, hosts: [lab1, lab2], max_per_host: 1}}
fixed:
  model: tiny
  {fixed}
  port: {{number: 8123, bind: 0.0.0.0}}
  placement: {{gpus: none, hosts: [lab1]}}
"""
        if self.guest:
            services += f"""
guest:
  model: tiny
  {guest}
  port: {{bind: 0.0.0.0}}
  placement: {{gpus: none, hosts: [lab2]}}
"""
        self.project.write(services, hosts="{lab1: {}, lab2: {}}")

    def edit(self, what: str) -> None:
        if what in ("guest", "all"):
            self.guest = not self.guest
        for name in ("chat", "fixed") if what == "all" else (what,):
            self.counts[name] += 1
        self.write()

    @property
    def wanted(self) -> dict[tuple[str, str], str]:
        """Host of each replica that must run."""
        wanted = {("chat", "0"): "", ("chat", "1"): "", ("fixed", "0"): "lab1"}
        return wanted | ({("guest", "0"): "lab2"} if self.guest else {})

    # --- what happens ---------------------------------------------------------------------

    def begin(self) -> None:
        self.write()
        self.project.apply()
        self.must_be_whole()

    def lines_of(self, edit: str) -> int:
        """How many lines an undisturbed apply of that edit says."""
        self.edit(edit)
        run = self.project.run("apply", "-y", "--json")
        self.must_be_whole()
        return len(run.lines())

    def strike(self, blow: Blow) -> Run:
        """An apply that is hit, to its end; whoever served before must serve on where only the controller died."""
        self.edit(blow.edit)
        arguments = ("apply", "-y", "--json")
        running = self.project.begin(*arguments)
        if running.has_said(blow.lines, LONGEST):
            running.is_over_within(blow.seconds)
        try:
            for fault in blow.fault.split("+"):
                if fault == "kill":
                    running.kill()
                else:
                    self.host_fault(fault, blow.host, blow.heals)
            done = running.finish(arguments, LONGEST)
        finally:
            running.kill()
        run = self.project.checked(Run(arguments, done.returncode, done.stdout, done.stderr), None)
        assert run.code in (0, 1, 3, -9), str(run)
        if blow.fault == "kill":
            self.must_serve_somehow()
        return run

    def host_fault(self, fault: str, host: str, heals: float) -> None:
        self.lab.fault(fault, host)
        time.sleep(heals)
        self.lab.fault(REMEDIES.get(fault, "heal"), host)
        self.lab.sh(host, DOCKER_ANSWERS)

    def recover(self, run: Run) -> None:
        """One more apply, which ends with a plan that asks for nothing more. A dead apply's lease is over."""
        if run.code == -9 or "lock-left" in run.err:
            for host in HOSTS:
                self.lab.sh(host, FORGET)
        again = self.project.run("apply", "-y", exit=None)
        if again.code and LEAKED in again.text:
            print("(Docker keeps a port of what it never started: it is restarted, as the hint says) ", end="")
            for host in HOSTS:
                self.host_fault("stop-docker", host, 0.0)
            again = self.project.run("apply", "-y", exit=None)
        self.project.checked(again, 0)
        self.must_be_whole()

    # --- what must be so ----------------------------------------------------------------------

    def must_serve_somehow(self) -> None:
        """Of the service that is replaced start-first each replica has one that answers, be it the old or the new."""
        seen = [Seen.on(self.lab, host) for host in HOSTS]
        serving = {replica_of(c) for one in seen for c in one.running if one.answers(c)}
        assert {("chat", "0"), ("chat", "1")} <= serving, f"only {sorted(serving)} serve"

    def must_be_whole(self) -> None:
        found: dict[tuple[str, str], str] = {}
        for host in HOSTS:
            seen = Seen.on(self.lab, host)
            for container in seen.running:
                key = replica_of(container)
                assert key not in found, f"{key} runs twice, on {found[key]} and {host}"
                assert container["HostConfig"]["RestartPolicy"]["Name"] == "always", container["Name"]
                found[key] = host
                eventually(lambda seen=seen, c=container: seen.answers(c), within=20)
            self.must_keep_little(seen)
            assert seen.left == [], f"half files or locks on {host}: {seen.left}"
        assert set(found) == set(self.wanted), f"runs {sorted(found)}, wanted {sorted(self.wanted)}"

    def must_keep_little(self, seen: Seen) -> None:
        """Stopped ones are predecessors that are kept, which never come back by themselves."""
        kept: dict[tuple[str, str], list[str]] = {}
        for container in seen.containers:
            if container["State"]["Running"]:
                continue
            assert container["HostConfig"]["RestartPolicy"]["Name"] == "no", container["Name"]
            kept.setdefault(replica_of(container), []).append(container["Name"])
        for key, names in kept.items():
            assert key in self.wanted, f"orphans of {key} on {seen.host}: {names}"
            assert len(names) <= KEPT, f"too many predecessors of {key} on {seen.host}: {names}"


@dataclass(frozen=True, slots=True)
class Seen:
    """A host as one look found it. `left`: half files and locks."""

    host: str
    address: str
    containers: list[dict[str, Any]]
    left: list[str]

    @classmethod
    def on(cls, lab: Lab, host: str) -> Seen:
        inspected, _, left = lab.sh(host, LOOK).rpartition("---")
        return cls(host, lab.address(host), json.loads(inspected or "[]"), left.split())

    @property
    def running(self) -> list[dict[str, Any]]:
        return [c for c in self.containers if c["State"]["Running"]]

    def answers(self, container: dict[str, Any]) -> bool:
        (bindings,) = [b for b in container["NetworkSettings"]["Ports"].values() if b]
        connection = http.client.HTTPConnection(self.address, int(bindings[0]["HostPort"]), timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def replica_of(container: dict[str, Any]) -> tuple[str, str]:
    labels = container["Config"]["Labels"]
    return str(labels["deployer.service"]), str(labels["deployer.replica"])


def every_boundary(lines: int, edit: str) -> Iterator[Blow]:
    """The controller is killed after each line that an apply says, once."""
    for line in range(BEGUN, lines):
        yield Blow(edit, "kill", HOSTS[0], line)


def at_random(seed: int, lines: Mapping[str, int]) -> Iterator[Blow]:
    """`lines`: how many an undisturbed apply of each edit says."""
    chance = random.Random(seed)
    while True:
        edit, fault, host = chance.choice(EDITS), chance.choice(FAULTS), chance.choice(HOSTS)
        heals = 0.0 if fault == "kill" else chance.uniform(0.2, 4.0)
        yield Blow(edit, fault, host, chance.randint(BEGUN, lines[edit] - 2), chance.uniform(0, 0.6), heals)
