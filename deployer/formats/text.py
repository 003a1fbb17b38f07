"""Text that a host said: decoded, bounded, without control characters. Never raises."""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff]+")
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")


def decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def one_line(text: str, limit: int = 200) -> str:
    """The text on one line, escape sequences and control characters removed, cut at `limit` characters."""
    text = text[: limit * 8]
    if not text.isprintable():
        text = CONTROL.sub(" ", ANSI.sub("", text))
    return text.strip()[:limit]


def lines(text: str, most: int) -> list[str]:
    """At most `most` lines, ended by newlines alone: other separators may stand inside of names."""
    return [line.removesuffix("\r") for line in text.split("\n", most)[:most]]


def whole_number(text: str, most: int = 2**63 - 1) -> int | None:
    """A decimal number from 0 to `most`; None for anything else."""
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        return None
    number = int(text)
    return number if number <= most else None
