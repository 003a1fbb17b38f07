"""What `--help` of a program says it takes: flags as argparse, click, clap, typer and llama.cpp print them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployer.formats.text import lines

MAX_LINES, MAX_LENGTH, MAX_FLAGS = 20_000, 400, 3000
MOST_INDENT = 8  # columns before a flag; what is further right describes one
LONGEST_FLAG = 80
FRAME = "│┃|*"  # typer draws boxes, and marks what must be given
ASIDE = re.compile(r"<[^<>]*>|\{[^{}]*\}|\[[^\[\]]*\]")  # values and choices, which may hold dashes
FLAG = re.compile(r"(?:^|,\s*|\s/\s*|\s{2,})(-{1,2}[A-Za-z0-9][\w.-]*)")
DESCRIBED = re.compile(r"\s{2,}(?!-)\S")  # where the description begins
REMOVED = "argument has been removed"  # llama.cpp takes such a flag only to say so, and ends


def parse_help(text: str) -> tuple[str, ...]:
    """Its flags, sorted, each once; those that it only takes to say that they are gone are left out."""
    found: dict[str, None] = {}
    for heads, description in _entries(text):
        if REMOVED not in description:
            found |= dict.fromkeys(heads)
        if len(found) > MAX_FLAGS:
            break
    return tuple(sorted(found))[:MAX_FLAGS]


def _entries(text: str) -> Iterator[tuple[list[str], str]]:
    """The flags of an entry, and how its description begins."""
    for raw in lines(text, MAX_LINES):
        line = raw[:MAX_LENGTH].expandtabs()
        shown = line.lstrip(FRAME + " ")
        if not shown.startswith("-") or len(line) - len(shown) > MOST_INDENT:
            continue
        plain = ASIDE.sub("_", shown)
        described = DESCRIBED.search(plain)
        head = plain[: described.start()] if described else plain
        heads = [flag for flag in FLAG.findall(head) if len(flag) <= LONGEST_FLAG]
        yield heads, plain[described.start() :] if described else ""
