"""GitHub-flavoured Markdown that foreign text cannot get out of, and that ends before a comment's size limit.

Character references keep text from being markup (CommonMark 6.2), in HTML too. Forges look for mentions, references
and links in what was rendered, so those are also broken up by a zero-width space.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from deployer.dataclass import dataclass
from deployer.view.page import printable

LONGEST_TEXT = 400  # characters of one foreign text
SPECIAL = re.compile(r"[&<>\"'\\`*_{}\[\]#!|~@$^%]")
# Forges' references: @user #1 !1 ~label $1 %1 &1 *iteration [vulnerability:1], GH-1, :emoji:, www.x, http://x.
REFERENCE = re.compile(
    r"[@#!~$%&^\[*](?=[\w\"'\-:])|(?<=\bGH)(?=-\d)|:(?=[a-z+-][\w+-]*:)|:(?=//)|(?<=www)(?=\.)", re.IGNORECASE
)
BREAK = "\u200b"


def literal(text: str, limit: int | None = LONGEST_TEXT) -> str:
    """One line that every renderer shows as it is; for `<pre>`, where forges look for nothing."""
    return SPECIAL.sub(_reference, printable(text, limit))


def escape(text: str, limit: int | None = LONGEST_TEXT) -> str:
    """One line of text that is no markup, mentions nobody and links to nothing. Never to stand at a line's start."""
    broken = REFERENCE.sub(lambda match: match.group() + BREAK, printable(text, limit))
    return SPECIAL.sub(_reference, broken).replace(BREAK, "&#8203;")


def _reference(match: re.Match[str]) -> str:
    return f"&#{ord(match.group())};"


def code(text: str, limit: int | None = LONGEST_TEXT) -> str:
    return f"<code>{escape(text, limit)}</code>" if text else ""


def prose(text: str, limit: int | None = LONGEST_TEXT) -> str:
    """A sentence of ours, in which `literals` stand in backticks."""
    parts = printable(text, limit).split("`")
    if len(parts) % 2 == 0:
        return escape(text, limit)
    return "".join((code(part, None) or "&#96;&#96;") if i % 2 else escape(part, None) for i, part in enumerate(parts))


def verbatim(lines: Sequence[str], language: str = "") -> str:
    """Lines as they are, highlighted as `language` where the forge does that. Ends with a newline."""
    lang = f' lang="{language}"' if language else ""
    return f"<pre{lang}>\n" + "".join(f"{literal(line, None) or ' '}\n" for line in lines) + "</pre>\n"


def details(summary: str, body: str) -> str:
    """A part that is opened by a click; both are Markdown already."""
    return f"<details><summary>{summary}</summary>\n\n{body}</details>\n"


@dataclass(frozen=True, slots=True)
class Section:
    """Items that are shown one after the other below `head`, each ending with a newline; `what` they are: `changes`."""

    what: str
    head: str
    items: tuple[str, ...]

    def text(self, count: int) -> str:
        return self.head + "".join(self.items[:count]) + "\n" if count else ""


def fitted(top: str, sections: Sequence[Section], limit: int) -> str:
    """All of it if that is at most `limit` bytes; otherwise of each section what fits into half of what is left, and
    at the end what was cut."""
    whole = top + "".join(section.text(len(section.items)) for section in sections)
    if size(whole) <= limit:
        return whole.rstrip("\n") + "\n"
    left = limit - size(top) - NOTE_SIZE
    text, cut = top, []
    for section in sections:
        count = _fitting(section, left if section is sections[-1] else left // 2)
        shown = section.text(count)
        text, left = text + shown, left - size(shown)
        if count < len(section.items):
            cut.append(f"{len(section.items) - count} of {len(section.items)} {section.what}")
    return f"{text}_Cut to fit a comment: {', '.join(cut)} are not shown; {code('deployer plan')} shows all._\n"


NOTE_SIZE = 400  # bytes


def _fitting(section: Section, room: int) -> int:
    """How many items fit, from the first on."""
    room -= size(section.head) + 1
    for count, item in enumerate(section.items):
        room -= size(item)
        if room < 0:
            return count
    return len(section.items)


def size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
