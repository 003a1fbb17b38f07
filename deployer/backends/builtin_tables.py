"""Names of models that backends have themselves, with what each is for, as package data; read at the first look.

A table is `builtin/NAME.txt`: each paragraph begins with a category and a colon and goes on with names. Lines that
begin with `#` are comments.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping


class BuiltinTable(Mapping[str, str]):
    """Model -> category."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._found: dict[str, str] | None = None

    def __getitem__(self, model: str) -> str:
        return self._read()[model]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, str]:
        if self._found is None:
            content = pkgutil.get_data("deployer.backends", f"builtin/{self.name}.txt") or b""
            self._found = parse_table(content.decode("utf-8"))
        return self._found


def parse_table(text: str) -> dict[str, str]:
    """ValueError where a name stands twice, or before any category."""
    found: dict[str, str] = {}
    category = ""
    for word in (word for line in text.splitlines() if not line.startswith("#") for word in line.split()):
        if word.endswith(":"):
            category = word[:-1]
        elif not category or word in found:
            raise ValueError(f"`{word}` stands twice, or before any category")
        else:
            found[word] = category
    return found
