"""Blows: what happens to an apply, where and when. All chance comes from one generator, so that a seed tells a whole
soak again (but for what the hosts' own timing adds).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

HOSTS = ("lab1", "lab2")
# of each edit, about how many lines an undisturbed apply says
EDITS = {"chat": 31, "fixed": 15, "guest": 13, "all": 47, "shared": 27, "weights": 19, "bad": 44, "back": 23}
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
MOST = 4  # blows in a row
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


def at_random(seed: int) -> Iterator[tuple[Blow, ...]]:
    """Some blows in a row at one edit: the apply that is to set things right may be hit as well."""
    chance = random.Random(seed)
    while True:
        edit = chance.choice(list(EDITS))
        yield tuple(_blow(chance, edit, EDITS[edit] - 2) for _ in range(chance.randint(1, MOST)))


def _blow(chance: random.Random, edit: str, last: int) -> Blow:
    fault, host = chance.choice(FAULTS), chance.choice(HOSTS)
    heals = 0.0 if fault == "kill" else chance.uniform(0.2, 4.0)
    return Blow(edit, fault, host, chance.randint(BEGUN, last), chance.uniform(0, 0.6), heals)
