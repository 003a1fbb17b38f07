"""The beginning of a GGUF file: its metadata, as far as the bytes at hand go.

Format: ggml docs/gguf.md. Little-endian; versions 2 and 3. Every length is hostile.
"""

from __future__ import annotations

import struct
from typing import Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_KEYS = 4096
MAX_TEXT = 1 << 16  # bytes of a key or text
SHORT = 2048  # numbers of an array that is kept
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
TEXT, ARRAY = 8, 9


class Cut(Exception):
    """The bytes at hand end here."""


class Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if count < 0 or end > len(self._data):
            raise Cut
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self) -> str:
        length = self.number("<Q")
        if length > MAX_TEXT:
            raise Cut
        return self.take(length).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        """A number, truth or text, or a short array of numbers; None for any other array, which is passed over."""
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind == TEXT:
            return self.text()
        if kind != ARRAY:
            raise Cut
        inner, count = self.number("<I"), self.number("<Q")
        if inner in SCALARS:
            taken = self.take(struct.calcsize(SCALARS[inner]) * count)
            return tuple(number for (number,) in struct.iter_unpack(SCALARS[inner], taken)) if count <= SHORT else None
        elif inner == TEXT:
            for _ in range(count):
                self.text()
        else:
            raise Cut
        return None


def parse_gguf_start(data: bytes) -> dict[str, Any]:
    """Metadata without long arrays, up to where the bytes end; empty when this is no GGUF file. Never raises."""
    reader = Reader(data)
    found: dict[str, Any] = {}
    try:
        if reader.take(4) != MAGIC or reader.number("<I") not in VERSIONS:
            return {}
        reader.number("<Q")  # tensors
        for _ in range(min(reader.number("<Q"), MOST_KEYS)):
            key = reader.text()
            value = reader.value(reader.number("<I"))
            if value is not None:
                found[key] = value
    except Cut:
        pass
    return found
