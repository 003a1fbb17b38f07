"""What was measured, as a table; and the machine it was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.bench.measure import Goal, Result

HEAD = ("program", "wall", "CPU", "memory", "ratio", "goal")


def machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}, load {load:.1f} at the start"


def table(title: str, results: Sequence[Result]) -> str:
    by_name = {result.program.name: result for result in results}
    rows = [HEAD, *(row for result in results for row in rows_of(result, by_name))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title, *(f"  {line}" for line in lines)])


def rows_of(result: Result, others: Mapping[str, Result]) -> Iterable[tuple[str, ...]]:
    goals: Sequence[Goal | None] = result.program.goals or (None,)
    for number, goal in enumerate(goals):
        ran = (seconds(result.wall), seconds(result.cpu), memory(result)) if result.wall else ("failed", "", "")
        shown = (result.program.name, *ran) if number == 0 else ("", "", "", "")
        yield (*shown, *compared(result, goal, others))


def compared(result: Result, goal: Goal | None, others: Mapping[str, Result]) -> tuple[str, str]:
    if goal is None:
        return "", ""
    if goal.of is None:
        return "", f"at most {goal.most:g} s: {met(result.wall <= goal.most)}"
    if goal.of not in others:
        return "", ""
    other = others[goal.of]
    if not (result.wall and other.wall):
        return "", f"at most {goal.most:g} of {goal.of}: a program failed"
    ratio = result.a_host / other.a_host if goal.a_host else result.wall / other.wall
    per = " a host" if goal.a_host else ""
    return f"{ratio:.2f}{per}", f"at most {goal.most:g} of {goal.of}: {met(ratio <= goal.most)}"


def met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def seconds(value: float) -> str:
    return f"{value:.2f} s"


def memory(result: Result) -> str:
    return f"{result.memory >> 20} MiB"
