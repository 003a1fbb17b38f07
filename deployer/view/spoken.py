"""Text that is shown as it comes, as a model says it: its lines stay, but no CI service obeys one of them."""

from __future__ import annotations

import re

from deployer.view.page import defused

# What may yet become a marker; no service has one of more than twenty letters.
HELD = re.compile(r"(?:#{1,2}\w{0,20}|(?<!:):)\Z")


class Spoken:
    """Takes pieces, gives what may be shown by now: the end of a piece waits for the next one where that tells."""

    def __init__(self) -> None:
        self._held = ""
        self._is_begun = False  # there is more than blanks in this line

    def add(self, piece: str) -> str:
        text = self._held + piece
        held = HELD.search(text)
        self._held = held.group() if held else ""
        return self._shown(text[: len(text) - len(self._held)])

    def end(self) -> str:
        held, self._held = self._held, ""
        return self._shown(held)

    def _shown(self, text: str) -> str:
        first, *others = text.split("\n")
        shown = "\n".join([defused(first, begins=not self._is_begun), *(defused(line) for line in others)])
        self._is_begun = bool((others or [first])[-1].strip()) or (self._is_begun and not others)
        return shown
