"""Text for people: lines of styled spans. The one place where foreign text is made safe and where colour is put on."""

from __future__ import annotations

import re
from dataclasses import field
from enum import StrEnum

from deployer.dataclass import dataclass

LONGEST_SPAN = 4000  # characters; a host's text beyond it is cut

ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])")
# C0, DEL, C1, soft hyphen, Arabic letter mark, zero-width and bidirectional controls, line separators, surrogates,
# tags, non-characters: all that a terminal obeys or hides.
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufdd0-\ufdef\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
# GitHub and Azure obey `##[...]` and `##vso[...]` anywhere in a line (actions/runner ActionCommand.cs), TeamCity
# `##teamcity[`; GitHub obeys `::name::` where a line begins with it, blanks apart.
CI_MARKER = re.compile(r"##(?=\w*\[)")
CI_COMMAND = re.compile(r"\A(\s*)::")


class Style(StrEnum):
    """What a span means; the values are SGR codes. Meaning never rests on colour alone."""

    BOLD = "1"
    DIM = "2"
    ERROR = "1;31"
    WARNING = "1;33"
    INFO = "1;36"
    HINT = "36"
    ADDED = "32"
    CHANGED = "33"
    REMOVED = "31"


@dataclass(frozen=True, slots=True)
class Span:
    text: str
    style: Style | None = None
    limit: int | None = LONGEST_SPAN  # characters; what is longer is cut


Part = str | Span


def printable(text: str, limit: int | None = LONGEST_SPAN) -> str:
    """Foreign text as it may be shown: one line, no escape sequences, nothing a terminal or a CI service obeys."""
    cut = text if limit is None or len(text) <= limit else text[:limit] + " … (cut)"
    if cut.isprintable() and "##" not in cut:  # nothing of it is in any of the patterns below
        return cut
    shown = UNSAFE.sub(_escape, ANSI.sub("", cut).replace("\t", " "))
    return CI_MARKER.sub("#\\#", shown)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if match.group() in "\n\r":
        return "\\n" if match.group() == "\n" else "\\r"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def defused(line: str, *, begins: bool = True) -> str:
    """A line, or (`begins` is False) a later part of one, as no CI service obeys it."""
    marked = CI_MARKER.sub("#\\#", line) if "##" in line else line
    return "\\" + marked if begins and "::" in marked and CI_COMMAND.match(marked) else marked


def render_line(parts: tuple[Part, ...], *, colour: bool) -> str:
    """One line, without its newline, safe to write to a terminal or a CI log."""
    shown = [printable(part) if isinstance(part, str) else printable(part.text, part.limit) for part in parts]
    text = "".join(shown)
    if not colour:
        is_whole = text[-1:].isspace() and any(isinstance(part, Span) and part.limit is None for part in parts)
        return defused(text if is_whole else text.rstrip())
    escape = "\\" if CI_COMMAND.match(text) else ""
    styles = [None if isinstance(part, str) else part.style for part in parts]
    styled = zip(shown, styles, strict=True)
    return escape + "".join(f"\x1b[{style}m{text}\x1b[0m" if style and text else text for text, style in styled)


@dataclass(slots=True)
class Page:
    """Lines for people, in order."""

    lines: list[tuple[Part, ...]] = field(default_factory=list)

    def line(self, *parts: Part) -> None:
        self.lines.append(parts)

    def blank(self) -> None:
        """An empty line, never two in a row nor at the top."""
        if self.lines and self.lines[-1]:
            self.lines.append(())

    def extend(self, other: Page) -> None:
        self.lines.extend(other.lines)

    def render(self, *, colour: bool = False) -> str:
        return "".join(render_line(parts, colour=colour) + "\n" for parts in self.lines)
