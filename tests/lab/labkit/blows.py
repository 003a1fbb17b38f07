"""Blows: what happens to an apply, where and when. All chance comes from one generator, so that a seed tells a whole
soak again (but for what the hosts' own timing adds).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

HOSTS = ("lab1", "lab2")
EDITS = ("chat", "fixed", "guest", "all", "shared", "weights", "bad", "back")
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

    @property
    def is_only_ours(self) -> bool:
        """Only the controller dies: no host has a reason to stop serving."""
        return self.fault == "kill"


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
