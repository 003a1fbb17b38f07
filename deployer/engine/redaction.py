"""Texts that come from hosts, made safe to keep and show: secrets out, control characters out, bounded.

Always redacts before it cuts: half a secret would no longer be recognised.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
import threading
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
MAX_LINE = 500  # characters of one line of evidence
MAX_READ = 1 << 20  # characters of one text that are looked at
SHORT = 4  # characters below which a secret is only masked where it stands as a word of its own
ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\Z)|\x1b[ -/]*[0-~]?|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL
)
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Redactor:
    """Knows every secret value that was looked up so far; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, value: str) -> None:
        """From now on `value` is masked in all its usual spellings."""
        with self._lock:
            self._forms.update(_patterns(value))
            ordered = sorted(self._forms, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(ordered)) if ordered else None

    def redact(self, text: str) -> str:
        pattern = self._pattern
        return pattern.sub(MASK, text) if pattern else text

    def line(self, raw: str | bytes, limit: int = MAX_LINE) -> str:
        """One line, without control characters and secrets, cut at `limit` characters."""
        text = clean(self.redact(decode(raw)))
        return text if len(text) <= limit else text[: limit - 1] + "…"

    def tail(self, raw: str | bytes, lines: int = 20) -> tuple[str, ...]:
        """The last `lines` lines that are not blank."""
        masked = self.redact(decode(raw))
        found = (clean(line) for line in masked.splitlines())
        return tuple(self.line(line) for line in [f for f in found if f][-lines:])


def decode(raw: str | bytes) -> str:
    """The last part of it that fits; bytes that are no UTF-8 become U+FFFD."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return text[-MAX_READ:]


def clean(text: str) -> str:
    """A line as a terminal may show it: of what a carriage return overwrote the last, no escapes, nothing invisible."""
    parts = [part for part in text.replace("\n", " ").split("\r") if part.strip()]
    shown = ESCAPES.sub("", parts[-1] if parts else "").replace("\t", "    ")
    spaced = (" " if unicodedata.category(c) == "Zs" else c for c in shown)
    return "".join(c for c in spaced if unicodedata.category(c) not in HIDDEN).rstrip()


def _patterns(value: str) -> Iterable[str]:
    """Regular expressions of a value's spellings; its lines count too, where a log shows them one by one."""
    texts = {value, value.strip(), *(line.strip() for line in value.splitlines() if len(line.strip()) >= 8)}
    for text in texts:
        if 0 < len(text) < SHORT:
            yield rf"(?<!\w){re.escape(text)}(?!\w)"
        elif text:
            yield from (re.escape(form) for form in _spellings(text))
            yield from (re.escape(core) + "[A-Za-z0-9+/_=-]{0,4}" for core in _base64_cores(text))


def _spellings(text: str) -> set[str]:
    shell = shlex.quote(text)
    forms = {
        text,
        quote(text, safe=""),
        quote(text),
        quote_plus(text),
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        shell[1:-1] if shell.startswith("'") else shell,
    }
    forms.add(text.encode("utf-8", "surrogatepass").hex())
    return {form for form in forms if len(form) >= SHORT}


def _base64_cores(text: str) -> Iterable[str]:
    """What base64 shows of a text wherever it starts inside a longer one, as in `user:password`; the last characters,
    which depend on what follows, are left out."""
    data = text.encode("utf-8", "surrogatepass")
    for offset in range(3):
        padded = bytes(offset) + data
        whole = len(padded) - len(padded) % 3
        start = (offset * 8 + 5) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            if whole - offset >= SHORT:
                yield encode(padded[:whole]).decode()[start:]
