"""Did you mean: the nearest known word, or the list of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LISTED = 24
LONGEST = 64  # characters of a word that is compared


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that looks most like this one."""
    words = sorted(set(known))
    folded = {candidate.lower().replace("-", "_"): candidate for candidate in words}
    found = difflib.get_close_matches(word[:LONGEST].lower().replace("-", "_"), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else None


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
