"""Scalars of the YAML 1.2 core schema. A leading zero is refused rather than guessed at."""

from __future__ import annotations

import math

from deployer.pattern import pattern
from deployer.spec.nodes import Scalar

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
INTEGER = pattern(r"[-+]?[0-9]+\Z")
LEADING_ZERO = pattern(r"[-+]?0[0-9]+\Z")
BASED = pattern(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
FLOAT = pattern(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
MAX_DIGITS = 64  # longer ones stay text


def parse_scalar(text: str) -> Scalar:
    """The value of a plain scalar. Infinities, NaN and numbers of absurd length stay text."""
    if text in NULLS:
        return None
    if text in BOOLEANS:
        return BOOLEANS[text]
    if text[0] not in "+-.0123456789" or len(text) > MAX_DIGITS:
        return text
    if BASED.match(text):
        return int(text, 0)
    if INTEGER.match(text):
        return int(text)
    if FLOAT.match(text):
        value = float(text)
        return value if math.isfinite(value) else text
    return text


def has_leading_zero(text: str) -> bool:
    return LEADING_ZERO.match(text) is not None
