"""Canonical JSON and digests: the same value gives the same bytes on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from deployer.values.names import REVISION_LENGTH

ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(data: Any) -> str:
    """Sorted keys, no blanks, UTF-8 kept as it is; NaN and infinities are refused (ValueError)."""
    return ENCODER.encode(data)


def digest(data: Any) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return digest_of(canonical_json(data))


def digest_of(text: str) -> str:
    """The same of a text that is canonical JSON already."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def revision_of(data: Any) -> str:
    return digest(data)[:REVISION_LENGTH]
