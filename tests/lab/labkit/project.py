"""Project: a deploy.yaml in a folder of its own, and the real command line run on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.hosts import BUSYBOX, LABELLED, LLAMA, PRIVATE_LLAMA, STAND_IN, Lab
from labkit.warm import WARM, Running, is_shared

HEAD = f"""\
version: 1
project: lab
id: lab-tests
vars: {{llama: "{LLAMA}", private: "{PRIVATE_LLAMA}", standin: "{STAND_IN}"}}
models:
  tiny: {{source: "file:///srv/models/tiny.gguf"}}
  smollm2: {{source: "file:///srv/models/smollm2.gguf"}}
  minilm: {{source: "file:///srv/models/minilm.gguf", category: embedding}}
  tiny-hf: {{source: "file:///srv/models/tiny-hf"}}
defaults:
  service:
    backend: llama.cpp
    image: "${{var.llama}}"
    args: ["-t", "1"]
    options: {{context_length: 256, max_concurrency: 1}}
    placement: {{gpus: none}}
"""
OF_NO_HOST = ("validate", "render", "schema", "lock", "bundle")  # they take no --ssh-config
IMAGES = (LLAMA, STAND_IN, LABELLED, BUSYBOX)


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run of the command line."""

    arguments: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    def __str__(self) -> str:
        command = " ".join(("deployer", *self.arguments))
        return f"$ {command}\nexit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@dataclass(slots=True)
class Project:
    lab: Lab
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    ssh_config: Path | None = None
    runs: list[Run] = field(default_factory=list)

    def write(self, services: str, hosts: str = "{lab1: {}, lab2: {}, lab3: {}}", more: str = "") -> None:
        """deploy.yaml with the lab's models and defaults, these hosts and these services (YAML, indented or not)."""
        body = "".join(f"  {line}\n" for line in services.strip("\n").splitlines())
        self.write_whole(f"{HEAD}hosts: {hosts}\n{more.strip()}\nservices:\n{body}")

    def write_whole(self, text: str) -> None:
        (self.folder / "deploy.yaml").write_text(text)

    def edit(self, old: str, new: str) -> None:
        text = (self.folder / "deploy.yaml").read_text()
        assert text.count(old) == 1, f"`{old}` stands {text.count(old)} times in the spec"
        self.write_whole(text.replace(old, new))

    def argv(self, *arguments: str) -> list[str]:
        if any(a.startswith("--ssh-config") for a in arguments) or arguments[0] in OF_NO_HOST:
            return [sys.executable, "-m", "deployer", *arguments]
        words = 2 if arguments[0] == "cache" else 1
        config = str(self.ssh_config or self.lab.ssh_config)
        command, rest = arguments[:words], arguments[words:]
        return [sys.executable, "-m", "deployer", *command, "--ssh-config", config, *rest]

    def full_environment(self) -> Mapping[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
        }
        return {**kept, "NO_COLOR": "1", **self.environment}

    def run(self, *arguments: str, exit: int | None = 0, timeout: float = 120) -> Run:
        """Runs the command line to its end; `exit`: the code it must end with (None: any)."""
        environment = self.full_environment()
        argv = self.argv(*arguments)
        if is_shared(environment):
            done = WARM.run(argv[3:], self.folder, environment, timeout)
        else:
            done = subprocess.run(
                argv, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=timeout, check=False,
            )  # fmt: skip
        return self.checked(Run(arguments, done.returncode, done.stdout, done.stderr), exit)

    def checked(self, run: Run, exit: int | None) -> Run:
        self.runs.append(run)
        assert "\nTraceback" not in f"\n{run.text}", str(run)  # its own, not one in a container's log
        assert "internal-error" not in run.text, str(run)
        assert exit is None or run.code == exit, f"must exit {exit}\n{run}"
        return run

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts the command line in a process group of its own, as a shell would."""
        return subprocess.Popen(
            self.argv(*arguments), cwd=self.folder, env=self.full_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def begin(self, *arguments: str) -> Running:
        """As `start`, without the wait for its imports."""
        return WARM.start(self.argv(*arguments)[3:], self.folder, self.full_environment())

    def finish(
        self, process: subprocess.Popen[str], *arguments: str, exit: int | None = 0, timeout: float = 120
    ) -> Run:
        out, err = process.communicate(timeout=timeout)
        return self.checked(Run(arguments, process.returncode, out, err), exit)

    def interrupt(self, process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> None:
        os.killpg(process.pid, number)

    # --- the commands a story is told in ----------------------------------------

    def plan(self, *arguments: str, exit: int = 0) -> Any:
        return self.run("plan", "--json", *arguments, exit=exit).json()

    def apply(self, *arguments: str, exit: int = 0) -> Run:
        return self.run("apply", "-y", *arguments, exit=exit)

    def destroy(self, *arguments: str, exit: int = 0) -> Run:
        return self.run("destroy", "-y", *arguments, exit=exit)

    def status(self, exit: int = 0) -> Any:
        return self.run("status", "--json", exit=exit).json()

    def replicas(self, service: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.status()["services"][service]["replicas"]
        return found

    def replica(self, service: str) -> dict[str, Any]:
        (found,) = self.replicas(service)
        return found

    def must_be_settled(self) -> None:
        """Nothing to do: a second plan asks for no change and sees no drift."""
        self.run("plan", "--detailed-exitcode", exit=0)


def changes(plan: Any, action: str | None = None) -> list[dict[str, Any]]:
    """The changes of a plan (of one action, or all that are not `keep`)."""
    return [c for c in plan["changes"] if (c["action"] == action if action else c["action"] != "keep")]


def must_name(run: Run, *words: str) -> None:
    """The error names the thing: every word is in what people read, and there is one thing to do."""
    for word in words:
        assert word in run.err, f"must say `{word}`\n{run}"
    assert "error[" in run.err, f"must be a diagnostic\n{run}"
    assert "hint:" in run.err, f"must say what to do\n{run}"


def codes(run: Run) -> set[str]:
    """Codes of the errors shown."""
    return {part.partition("]")[0] for part in run.err.split("error[")[1:]}


def canaries(run: Run, words: Sequence[str]) -> list[str]:
    return [word for word in words if word in run.text]
