"""Names of files as a hub or an archive gives them: which of them may become paths on a host. Anybody writes them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

LONGEST_NAME, LONGEST_PATH, DEEPEST = 240, 1000, 20
RESERVED = (".git", ".cache", ".huggingface", ".locks")  # what tools keep for themselves in such folders
CONFUSING = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # Unicode categories: control, direction marks, half characters


def refused_name(path: str) -> str | None:
    """Why the path may not be one on a host; None where it may."""
    parts = path.split("/")
    if not path or len(path) > LONGEST_PATH or len(parts) > DEEPEST:
        return "is empty, too long or too deep"
    if path.startswith("/") or "\\" in path:
        return "is absolute or has a backslash"
    if any(part in ("", ".", "..") for part in parts):
        return "leaves its folder"
    if any(unicodedata.category(character) in CONFUSING for character in path):
        return "has control characters"
    if any(len(part.encode("utf-8", "replace")) > LONGEST_NAME for part in parts):
        return "is empty, too long or too deep"
    return f"is in `{parts[0]}`, which is reserved" if parts[0].casefold() in RESERVED else None


def refused_names(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each path that is refused, by itself or beside the others, with the reason."""
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in sorted(paths):
        why = refused_name(path)
        plain = unicodedata.normalize("NFC", path).casefold()
        if why is None and plain in seen:
            why = f"differs from `{seen[plain]}` by upper and lower case at most"
        seen.setdefault(plain, path)
        for end, character in enumerate(plain):
            if character == "/":
                folders.setdefault(plain[:end], path)
        if why is not None:
            yield path, why
    for plain, path in seen.items():
        if plain in folders and refused_name(path) is None:
            yield path, f"is a file, and the folder of `{folders[plain]}`"
