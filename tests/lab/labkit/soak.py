"""A soak: applies that something happens to, again and again; after each, one more apply must set all right."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit import models
from labkit.blows import HOSTS, Blow
from labkit.hosts import REMEDIES, Lab
from labkit.project import HEAD, Project, Run
from labkit.seen import Replica, Seen, replica_of
from labkit.waiting import eventually
from tests.support.hub import Hub

KEPT = 1  # predecessors that a replica keeps, stopped
FORGET = "rm -f /var/lib/deployer/lab/lock"  # as if the dead apply's lease had run out
LEAKED = "leftover docker-proxy"
DOCKER_ANSWERS = "for _ in $(seq 600); do docker version >/dev/null 2>&1 && exit; sleep 0.1; done; exit 1"
PS = "docker ps -a --format '{{.Names}} {{.Status}} {{.Ports}}'; find /var/lib/deployer -not -path '*/cache/*'"
LONGEST = 240.0  # seconds for an apply that something happens to
REPO, WEIGHTS, RATE = "org/tiny-GGUF", "tiny-q4_k_m.gguf", 4e6  # bytes a second
MORE = 2_000_000  # bytes of weights beside the model, which change with each revision
TOUCHED = {
    "chat": {"chat"},
    "fixed": {"fixed"},
    "guest": {"guest"},
    "all": {"chat", "fixed", "guest"},
    "shared": {"left", "right"},
    "weights": {"fetched"},
    "bad": {"chat", "fixed"},
    "back": {"chat"},
}
UNCOUNTED = ("weights", "bad", "back")  # what was before is what is to be again, or the commit says it
STOP_FIRST = {"fixed", "left", "right", "guest"}  # they have nowhere else to go, or come and go
COMMANDS = {"back": ("rollback", "-y", "--json", "--target", "chat")}
APPLY = ("apply", "-y", "--json")


@dataclass
class Soak:
    """`counts`: of edits so far, by service; `guest`: whether that service is wanted; `bad`: whether the image of two
    services is one that answers nonsense; `commit`: of the weights."""

    lab: Lab
    project: Project
    hub: Hub
    counts: dict[str, int] = field(default_factory=dict)
    guest: bool = False
    bad: bool = False
    commit: str = ""
    whole: dict[Replica, str] = field(default_factory=dict)  # container ids when it was whole last

    # --- the spec ---------------------------------------------------------------------

    def write(self) -> None:
        fetched = f"  fetched: {{source: 'hf://{REPO}', revision: {self.commit}, include: ['*.gguf', '*.dat']}}\n"
        head = HEAD.replace("models:\n", f"models:\n{fetched}")
        services = "".join(f"  {name}: {json.dumps(service)}\n" for name, service in self.services().items())
        hubs = f"hubs: {{hf: {{endpoint: '{self.hub.url}'}}}}\n"
        self.project.write_whole(f"{head}{hubs}hosts: {{lab1: {{}}, lab2: {{}}}}\nservices:\n{services}")

    def services(self) -> dict[str, dict[str, Any]]:
        chat = {"replicas": 2, "placement": {"hosts": ["lab1", "lab2"], "max_per_host": 1}}
        one_gpu = {"options": {"gpu_memory": "30g"}, "placement": {"gpus": ["lab1:0"], "share": True}}
        found = {
            "chat": self.service("chat") | chat,
            "fixed": self.service("fixed") | {"port": {"number": 8123, "bind": "0.0.0.0"}} | on("lab1"),
            "fetched": self.service("fetched") | {"model": "fetched"} | on("lab2"),
            "left": self.service("left") | one_gpu,  # there is room for both, and for no third
            "right": self.service("right") | one_gpu,
        }
        return found | ({"guest": self.service("guest") | on("lab2")} if self.guest else {})

    def service(self, name: str) -> dict[str, Any]:
        environment = {"ROUND": str(self.counts.get(name, 0))}
        found: dict[str, Any] = {"model": "tiny", "port": {"bind": "0.0.0.0"}, "env": environment}
        if self.bad and name in TOUCHED["bad"]:
            found |= {"image": "${var.standin}", "env": environment | {"STANDIN_MODE": "nonsense"}}
        return found

    def edit(self, what: str) -> None:
        self.bad = what == "bad"
        if what in ("guest", "all"):
            self.guest = not self.guest
        if what == "weights":
            more = random.Random(len(self.hub.repos[REPO].commits)).randbytes(MORE)
            self.commit = self.hub.repos[REPO].push({WEIGHTS: models.tiny_gguf().read_bytes(), "more.dat": more})
        for name in TOUCHED[what] if what not in UNCOUNTED else ():
            self.counts[name] = self.counts.get(name, 0) + 1
        self.write()

    @property
    def wanted(self) -> set[Replica]:
        wanted = {("chat", "0"), ("chat", "1"), ("fixed", "0"), ("left", "0"), ("right", "0"), ("fetched", "0")}
        return wanted | ({("guest", "0")} if self.guest else set())

    # --- what happens ---------------------------------------------------------------------

    def begin(self) -> None:
        """Twice, so that there is something to go back to."""
        self.hub.repo(REPO, {WEIGHTS: models.tiny_gguf().read_bytes()})
        self.edit("weights")
        self.project.apply()
        self.hub.faults.rate = RATE
        self.edit("chat")
        self.project.apply()
        self.must_be_whole()

    def lines_of(self, edit: str) -> int:
        """How many lines an undisturbed run says that is about this edit."""
        self.edit(edit)
        run = self.project.run(*COMMANDS.get(edit, APPLY), exit=1 if edit == "bad" else 0)
        self.recover(edit)
        return len(run.lines())

    def suffer(self, blows: Sequence[Blow]) -> None:
        """An apply that is hit, the next one, which is hit too, ..., and what sets it right. What the edit is not about
        is the very same container, always; and it serves on, as does what is replaced start-first, where only the
        controller died."""
        edit, before, hosts_live = blows[0].edit, self.whole, True
        self.edit(edit)
        for number, blow in enumerate(blows):
            run = self.strike(blow, COMMANDS.get(edit, APPLY) if number == 0 else self.again(edit))
            hosts_live = hosts_live and blow.is_only_ours
            if hosts_live:
                self.must_serve_on(before, self.serving(), edit)
            self.forget(run)
        self.recover(edit)
        self.must_serve_on({key: id for key, id in before.items() if key[0] not in TOUCHED[edit]}, self.whole, edit)

    def again(self, edit: str) -> tuple[str, ...]:
        """Who went back goes on."""
        return (*APPLY, "--lock-wait", "60", *(["--resume"] if edit == "back" else []))

    def strike(self, blow: Blow, arguments: tuple[str, ...]) -> Run:
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
        return run

    def host_fault(self, fault: str, host: str, heals: float) -> None:
        self.lab.fault(fault, host)
        time.sleep(heals)
        self.lab.fault(REMEDIES.get(fault, "heal"), host)
        self.lab.sh(host, DOCKER_ANSWERS)

    def forget(self, run: Run) -> None:
        """A dead apply's lease is over."""
        if run.code == -9 or "lock-left" in run.err:
            for host in HOSTS:
                self.lab.sh(host, FORGET)

    def recover(self, edit: str) -> None:
        """One more apply, which ends with nothing left to do. Who tried what is bad takes it back."""
        self.bad = False
        self.write()
        again = self.project.run(*self.again(edit), exit=None)
        if again.code and LEAKED in again.text:
            print("(Docker keeps a port of what it never started: it is restarted, as the hint says) ", end="")
            for host in HOSTS:
                self.host_fault("stop-docker", host, 0.0)
            again = self.project.run(*self.again(edit), exit=None)
        self.project.checked(again, 0)
        self.must_be_whole()

    def state(self) -> str:
        """For whoever looks for the cause: the last runs, and the containers."""
        runs = "\n\n".join(map(str, self.project.runs[-2:]))
        return "\n".join([runs, *(f"{host}:\n{self.lab.sh(host, PS, check=False)}" for host in HOSTS)])

    # --- what must be so ----------------------------------------------------------------------

    def serving(self) -> dict[Replica, str]:
        found: dict[Replica, str] = {}
        for host in HOSTS:
            found |= Seen.on(self.lab, host).serving
        return found

    def must_serve_on(self, before: dict[Replica, str], now: dict[Replica, str], edit: str) -> None:
        """With the same container, but for what the edit is about: that has one that answers, be it the old or the
        new."""
        for key, container in before.items():
            if key[0] not in TOUCHED[edit]:
                assert now.get(key) == container, f"{key} was touched by an edit of {edit}"
            elif key[0] not in STOP_FIRST:
                assert key in now, f"{key} does not serve, only {sorted(now)}"

    def must_be_whole(self) -> None:
        found: dict[Replica, str] = {}
        self.whole = {}
        for host in HOSTS:
            seen = Seen.on(self.lab, host)
            for container in seen.running:
                key = replica_of(container)
                assert key not in found, f"{key} runs twice, on {found[key]} and {host}"
                assert container["HostConfig"]["RestartPolicy"]["Name"] == "always", container["Name"]
                found[key], self.whole[key] = host, container["Id"]
                eventually(lambda seen=seen, c=container: seen.answers(c), within=20)
            self.must_keep_little(seen)
            assert seen.left == [], f"half files or locks on {host}: {seen.left}"
        assert set(found) == self.wanted, f"runs {sorted(found)}, wanted {sorted(self.wanted)}"

    def must_keep_little(self, seen: Seen) -> None:
        """Stopped ones are predecessors that are kept, which never come back by themselves."""
        kept: dict[Replica, list[str]] = {}
        for container in seen.containers:
            if container["State"]["Running"]:
                continue
            assert container["HostConfig"]["RestartPolicy"]["Name"] == "no", container["Name"]
            kept.setdefault(replica_of(container), []).append(container["Name"])
        for key, names in kept.items():
            assert key in self.wanted, f"orphans of {key} on {seen.host}: {names}"
            assert len(names) <= KEPT, f"too many predecessors of {key} on {seen.host}: {names}"


def on(host: str) -> dict[str, Any]:
    return {"placement": {"hosts": [host]}}
