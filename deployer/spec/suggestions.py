"""Did you mean: the nearest known word, or the list of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

LISTED = 24
LONGEST = 64  # characters of a word that is compared
SPREAD = 6  # characters that a word may be longer or shorter
MOST_COMPARED = 500  # comparing is slow


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that looks most like this one."""
    alike = (candidate for candidate in sorted(set(known)) if abs(len(candidate) - len(word)) <= SPREAD)
    folded = {_folded(candidate): candidate for candidate in islice(alike, MOST_COMPARED)}
    found = difflib.get_close_matches(_folded(word[:LONGEST]), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else None


def _folded(word: str) -> str:
    return word.lower().replace("-", "_")


def suggestion(word: str, known: Iterable[str], what: str = "known") -> str:
    """`did you mean ...?`, or what there is to choose from."""
    words = sorted(set(known))
    found = nearest(word, words)
    return f"did you mean `{found}`?" if found else f"{what}: {listing(words)}"


def listing(words: Iterable[str]) -> str:
    """`a`, `b`, `c`, cut where it gets long."""
    all_words = sorted(set(words))
    text = ", ".join(f"`{word}`" for word in all_words[:LISTED])
    more = len(all_words) - LISTED
    return (text or "none") + (f" and {more} more" if more > 0 else "")
