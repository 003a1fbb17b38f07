"""What came of asking one replica a real request."""

from __future__ import annotations

from deployer.dataclass import dataclass
from deployer.errors import Diagnostic
from deployer.values.names import ReplicaKey


@dataclass(frozen=True, slots=True)
class ReplicaAnswer:
    """Its `answer` in a line, or the `problem`. `seconds`: how long it took. No host where it does not run."""

    key: ReplicaKey
    host: str
    container: str
    seconds: float
    answer: str = ""
    problem: Diagnostic | None = None
