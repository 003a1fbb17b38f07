"""Runs programs as whole processes, in turn, and notes what each run took. Asserts nothing about time."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from resource import struct_rusage

TIMEOUT = 900.0  # seconds


@dataclass(frozen=True)
class Goal:
    """At most so many times the seconds of another program, or at most so many seconds. `a_host`: seconds of the
    processor for each of the hosts are compared."""

    most: float
    of: str | None = None
    a_host: bool = False


@dataclass(frozen=True)
class Program:
    """`before` and `after` are not measured; `after` says what is wrong with what the run did. `expect`: exit codes of
    a run that went well. `hosts`: that it is about."""

    name: str
    argv: Sequence[str]
    goals: tuple[Goal, ...] = ()
    before: Callable[[], object] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict)
    expect: tuple[int, ...] = (0,)
    hosts: int = 1
    after: Callable[[], str] = lambda: ""


@dataclass(frozen=True)
class Run:
    """Seconds on the clock, and of the processor in the process with all that it waited for; the most memory that one
    of these had, in bytes."""

    wall: float
    cpu: float
    memory: int = 0
    failure: str | None = None


@dataclass
class Result:
    program: Program
    runs: list[Run] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """0 where no run went well."""
        return statistics.median([run.wall for run in self.runs if run.failure is None] or [0.0])

    @property
    def cpu(self) -> float:
        return statistics.median([run.cpu for run in self.runs if run.failure is None] or [0.0])

    @property
    def a_host(self) -> float:
        """Seconds of the processor."""
        return self.cpu / self.program.hosts

    @property
    def memory(self) -> int:
        return max(run.memory for run in self.runs)

    @property
    def failures(self) -> list[str]:
        return [run.failure for run in self.runs if run.failure is not None]


def measured(programs: Sequence[Program], times: int, folder: Path) -> list[Result]:
    """Each program so many times, one after the other and then all again; where they run several times, a first round
    warms the caches up."""
    results = [Result(program) for program in programs]
    warming = 1 if times > 1 else 0
    for number in range(warming + times):
        for result in results:
            run = run_once(result.program, folder)
            if number >= warming or run.failure:
                result.runs.append(run)
    return results


def run_once(program: Program, folder: Path) -> Run:
    try:
        program.before()
    except subprocess.CalledProcessError as error:
        said = ((error.stdout or b"") + (error.stderr or b""))[-2000:].decode("utf-8", "replace")
        return Run(0.0, 0.0, failure=f"before {program.name}: {error}\n{said}")
    output = folder / "output.txt"
    environment = {**os.environ, **program.environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # who installs a program has its bytecode
    with output.open("wb") as out:
        began = time.monotonic()
        process = subprocess.Popen(
            program.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment
        )
        status, usage = ended(process)
        wall = time.monotonic() - began
    run = Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
    wrong = program.after() if status in program.expect else f"exit code {status}"
    if not wrong:
        return run
    said = output.read_bytes()[-2000:].decode("utf-8", "replace")
    return replace(run, failure=f"{program.name}: {wrong}\n{said}")


def ended(process: subprocess.Popen[bytes]) -> tuple[int, struct_rusage]:
    """Waits for the end; the exit code and what it used. A program that hangs is killed."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG if time.monotonic() < deadline else 0)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage
        if time.monotonic() >= deadline - 0.05:
            process.kill()
        time.sleep(0.002)
