"""Problems as they are handed out: each once, in the order of the text, secrets masked, not too many."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.dataclass import replace
from deployer.errors import Diagnostic, Severity, Where
from deployer.spec.nodes import KeyPath, shown

MOST_SHOWN = 200
LONGEST_SENTENCE = 1000


def reported(problems: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """What a person is shown of these problems; those of whole files come first."""
    unique = {_identity(problem): problem for problem in reversed(problems)}
    ordered = sorted(unique.values(), key=_place)
    if len(ordered) > MOST_SHOWN:
        more = len(ordered) - MOST_SHOWN
        note = Diagnostic(
            "more-problems", f"{more:,} problems more, at least, are not shown", hint="correct these first"
        )
        ordered = [*ordered[:MOST_SHOWN], note]
    return tuple(_fit(problem) for problem in ordered)


def _identity(problem: Diagnostic) -> KeyPath:
    where = problem.where
    place = (where.file, where.line, where.column) if where else ()
    return (problem.code, problem.message, *place)


def _place(problem: Diagnostic) -> tuple[str, int, int, bool, str]:
    where = problem.where or Where("", 0, 0)
    return (where.file, where.line, where.column, problem.severity is not Severity.ERROR, problem.code)


def _fit(problem: Diagnostic) -> Diagnostic:
    return replace(
        problem,
        message=shown(problem.message, LONGEST_SENTENCE),
        evidence=tuple(shown(line, LONGEST_SENTENCE) for line in problem.evidence),
        hint=shown(problem.hint, LONGEST_SENTENCE) if problem.hint else None,
    )
