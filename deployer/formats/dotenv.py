"""Reads `.env` files as Docker Compose writes them down (Docker docs, "Environment file syntax"); evaluates nothing.

What Compose would fill in from other variables is refused: it is written in single quotes where it is meant as it is.
"""

from __future__ import annotations

import re

NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
SINGLE = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
PLAIN = re.compile(r"[^\n]*?(?=[ \t]+#|[ \t]*(?:\n|\Z))")
FILLED_IN = re.compile(r"\$[A-Za-z_{]")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def parse_dotenv(text: str) -> dict[str, str]:
    """Variable -> value, the last one counts. ValueError says which line is wrong, and nothing of what is in it."""
    found: dict[str, str] = {}
    text, at = text.replace("\r\n", "\n"), 0
    while at < len(text):
        blank = BLANK.match(text, at)
        if blank:
            at = blank.end()
            continue
        name = NAME.match(text, at)
        if name is None:
            raise ValueError(f"line {_line(text, at)} is not NAME=VALUE")
        found[name[1]], at = _value(text, name.end())
        rest = BLANK.match(text, at)
        if rest is None:
            raise ValueError(f"line {_line(text, at)} goes on after its value")
        at = rest.end()
    return found


def _value(text: str, at: int) -> tuple[str, int]:
    """A value, and where it ends."""
    first = text[at : at + 1]
    if first == "'":
        quoted = _matched(SINGLE, text, at)
        return re.sub(r"\\(')", r"\1", quoted[1]), quoted.end()
    found = _matched(DOUBLE, text, at) if first == '"' else _matched(PLAIN, text, at)
    raw = found[1] if first == '"' else found[0]
    if FILLED_IN.search(re.sub(r"\\.", "", raw, flags=re.DOTALL) if first == '"' else raw):
        raise ValueError(f"line {_line(text, at)} has a `$` that is not in single quotes")
    return (_unescaped(raw) if first == '"' else raw), found.end()


def _matched(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        raise ValueError(f"line {_line(text, at)} opens a quote that nothing closes")
    return found


def _unescaped(raw: str) -> str:
    return re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[0]), raw, flags=re.DOTALL)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
