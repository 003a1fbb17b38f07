"""`requires`: the versions of deployer that a spec is for."""

from __future__ import annotations

import operator
from collections.abc import Callable

from deployer import __version__
from deployer.pattern import pattern
from deployer.spec.check.context import Checked

CLAUSE = pattern(r"\s*(?P<op>>=|<=|==|!=|>|<)\s*v?(?P<version>\d+(?:\.\d+)*)\s*\Z")
RELEASE = pattern(r"\d+(?:\.\d+)*")
OPERATORS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


def check_requires(checked: Checked) -> None:
    requires = checked.spec.requires
    if requires is None:
        return
    try:
        satisfied = satisfies(__version__, requires)
    except ValueError as error:
        checked.error("bad-value", f"`requires`: {error}", ("requires",), "write it as `>=0.4` or `>=0.4,<2`")
        return
    if not satisfied:
        message = f"the spec is for deployer {requires}, and this is {__version__}"
        checked.error("wrong-version", message, ("requires",), f"install deployer {requires}")


def satisfies(version: str, requires: str) -> bool:
    """Whether a version meets all clauses of `>=0.4,<2`. ValueError for what is no such text."""
    return all(_meets(version, clause) for clause in requires.split(","))


def _meets(version: str, clause: str) -> bool:
    match = CLAUSE.match(clause)
    if match is None:
        raise ValueError(f"`{clause.strip()}` is not a version clause")
    return OPERATORS[match["op"]](_release(version), _release(match["version"]))


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version without trailing zeros: `0.4` equals `0.4.0`, and `0.4.dev1` counts as `0.4`."""
    match = RELEASE.match(version)
    numbers = [int(part) for part in match[0].split(".")] if match else [0]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
