"""What a watch tells: a line for each thing it did, saw for the first time, or could not do."""

from __future__ import annotations

from typing import Literal

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic

Kind = Literal["watching", "serving", "repairing", "repaired", "failed", "left-alone", "busy", "problem"]


@dataclass(frozen=True, slots=True)
class Told:
    """`replica` and `host` where it is about one. `why`: a sentence. `again`: seconds until the next attempt."""

    kind: Kind
    why: str = ""
    replica: str | None = None
    host: str | None = None
    seconds: float | None = None
    again: float | None = None
    problem: Diagnostic | None = None
