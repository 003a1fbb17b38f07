"""A bad day: a service that answers on one host, and an apply of its successor that something happens to."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import Popen
from typing import Any

from labkit.hosts import Lab, LabError
from labkit.project import Project, Run
from labkit.relay import BadRegistry
from labkit.waiting import eventually

HOST = "lab1"
BULKY = "lab/bulky:1"
MEGABYTES = 6  # that its pull fetches
SLOWLY = 400_000  # bytes a second: a pull that something can happen to
SERVICE = 'chat: {model: tiny, port: 8123, image: "${var.standin}", env: {STANDIN_DELAY: "0"}}'
FORGET = "docker images --format '{{.Repository}}:{{.Tag}}' | grep /lab/bulky | xargs -r docker rmi -f >/dev/null"
QUESTION = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}


@dataclass
class Day:
    """A service that answers on one host, and an edit to an image from a registry that may have a bad day."""

    lab: Lab
    project: Project
    registry: BadRegistry
    before: str  # the container that serves
    process: Popen[str] | None = None

    def edit(self, delay: int = 0) -> None:
        self.project.edit('"${var.standin}"', f'"{self.registry.name}/{BULKY}"')
        self.project.edit('STANDIN_DELAY: "0"', f'STANDIN_DELAY: "{delay}"')

    def start(self) -> None:
        self.process = self.project.start("apply", "-y")

    def start_pulling(self) -> None:
        """An apply in the middle of its pull."""
        self.edit()
        self.registry.rate = SLOWLY
        self.start()
        begun = self.registry.passed
        eventually(lambda: self.registry.passed > begun + 500_000, within=30)

    def start_loading(self, delay: int) -> None:
        """An apply that has stopped the predecessor, whose successor has the port and loads that long."""
        self.edit(delay)
        self.start()
        eventually(lambda: "Loading" in self._answer("/health"), within=30)

    def interrupt(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.project.interrupt(self.process, number)

    @contextmanager
    def hanging_docker(self) -> Iterator[None]:
        """It accepts, and answers nothing."""
        self.lab.sh(HOST, "kill -STOP $(cat /run/docker.pid)")
        try:
            yield
        finally:
            self.lab.sh(HOST, "kill -CONT $(cat /run/docker.pid)")

    def journal(self) -> list[Any]:
        text = self.lab.sh(HOST, "cat /var/lib/deployer/lab/journal")
        return [json.loads(line) for line in text.splitlines()]

    def finish(self, exit: int | None) -> Run:
        assert self.process is not None
        return self.project.finish(self.process, "apply", "-y", exit=exit, timeout=300)

    def must_serve(self) -> None:
        """A real answer at the port, from the one container that runs; it may have begun a moment ago."""
        eventually(lambda: "Paris" in self._answer("/v1/chat/completions", QUESTION), within=20)
        assert len(self.lab.running(HOST)) == 1

    def _answer(self, path: str, body: object = None) -> str:
        try:
            return self.lab.request(HOST, f"http://127.0.0.1:8123{path}", body)[1]
        except LabError as error:
            return str(error)

    def must_serve_as_before(self) -> None:
        self.must_serve()
        (running,) = self.lab.running(HOST)
        assert running == self.before
        assert self.lab.inspect(HOST, running)["HostConfig"]["RestartPolicy"]["Name"] == "always"
        assert len(self.lab.names(HOST)) == 1, "nothing half-made is left"

    def must_leave_no_lock(self) -> None:
        assert [file for file in self.lab.files_of_deployer(HOST) if file.endswith("/lock")] == []

    def must_converge(self, *arguments: str) -> None:
        self.registry.rate = None
        self.project.apply(*arguments)
        self.project.must_be_settled()
        self.must_serve()
        (running,) = self.lab.running(HOST)
        assert running != self.before
        self.must_leave_no_lock()


def begin(lab: Lab, project: Project, registry: BadRegistry) -> Day:
    lab.sh(HOST, FORGET, check=False)
    project.write(SERVICE, hosts=f"{{{HOST}: {{}}}}")
    project.apply()
    (serving,) = lab.running(HOST)
    return Day(lab, project, registry, serving)


def said(run: Run, pattern: str) -> list[str]:
    return [line for line in run.err.splitlines() if re.search(pattern, line)]
