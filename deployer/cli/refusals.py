"""Which problems of a plan are refusals: exit 3, where others are exit 1."""

from __future__ import annotations

from collections.abc import Iterable

from deployer.errors import Diagnostic, RefusedError, Severity
from deployer.values.names import FOREIGN_PROJECT


def problem_exit(problems: Iterable[Diagnostic]) -> int:
    """0 without an error; another owner's project outweighs the rest."""
    errors = {problem.code for problem in problems if problem.severity is Severity.ERROR}
    return RefusedError.exit_code if FOREIGN_PROJECT in errors else int(bool(errors))
