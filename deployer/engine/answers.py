"""Judges what a model answered: only by structure, unless the spec says what to expect. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

MAX_ANSWER = 10_000  # characters of an answer that are looked at
SHORTEST_VECTOR = 8
MANY = 20  # abilities of a model that are looked at
MANY_BROKEN = 0.5  # share of U+FFFD above which a text counts as broken


class BadAnswer(Exception):
    """`code` of the diagnostic, and what is wrong, as the end of a sentence about the answer."""

    def __init__(self, code: str, why: str) -> None:
        self.code, self.why = code, why
        super().__init__(why)


def parsed(body: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise BadAnswer("bad-answer", "is not JSON") from None
    if not isinstance(data, dict):
        raise BadAnswer("bad-answer", "is not a JSON object")
    return data


def listed_models(body: bytes) -> tuple[str, ...]:
    """Ids of `GET /v1/models`, and names and aliases where a backend gives those (llama.cpp: one id, all aliases)."""
    data = parsed(body)
    entries = data.get("data") or data.get("models") or []
    found: list[str] = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            found.extend(str(entry[key]) for key in ("id", "name", "model") if isinstance(entry.get(key), str))
            aliases = entry.get("aliases")
            if isinstance(aliases, list):
                found.extend(alias for alias in aliases if isinstance(alias, str))
    return tuple(dict.fromkeys(found))


def listed_abilities(body: bytes) -> dict[str, tuple[str, ...]]:
    """What the models of the list can do, where it says so (Xinference: `model_ability`), by id."""
    entries = parsed(body).get("data")
    found = {}
    for entry in entries if isinstance(entries, list) else []:
        can = entry.get("model_ability") if isinstance(entry, dict) else None
        if isinstance(can, list) and can:
            found[str(entry.get("id"))] = tuple(str(word) for word in can[:MANY])
    return found


def chat_text(body: bytes) -> str:
    """What the model said; what it only thought, where the tokens did not suffice for more."""
    message = _first_choice(body).get("message")
    message = message if isinstance(message, dict) else {}
    for key in ("content", "reasoning_content", "reasoning"):
        text = message.get(key)
        if isinstance(text, str) and text.strip():
            return text[:MAX_ANSWER]
    raise BadAnswer("nonsense-answer", "is empty")


def completion_text(body: bytes) -> str:
    text = _first_choice(body).get("text")
    if not isinstance(text, str) or not text.strip():
        raise BadAnswer("nonsense-answer", "is empty")
    return text[:MAX_ANSWER]


def _first_choice(body: bytes) -> Mapping[str, Any]:
    choices = parsed(body).get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise BadAnswer("bad-answer", "holds no `choices`")
    return choices[0]


def check_text(text: str, expect: str | None) -> None:
    """Nonsense is what no model that works says, whatever it was asked: the rest is for `expect` to catch."""
    dense = "".join(text.split())
    if not any(c.isalnum() for c in dense):
        raise BadAnswer("nonsense-answer", "holds no letter and no digit")
    if len(dense) >= 8 and len(set(dense)) == 1:
        raise BadAnswer("nonsense-answer", "is one character over and over")
    if dense.count("\N{REPLACEMENT CHARACTER}") > MANY_BROKEN * len(dense):
        raise BadAnswer("nonsense-answer", "is mostly broken characters")
    if expect is not None and not re.search(expect, text):
        raise BadAnswer("unexpected-answer", f"does not match `{expect}`")


def check_vector(body: bytes, width: int | None = None) -> int:
    """Its length, which is `width` where that is known. A vector of zeros or of NaN is what a broken model gives."""
    entries = parsed(body).get("data")
    vector = entries[0].get("embedding") if isinstance(entries, list) and entries and _is_map(entries[0]) else None
    if not isinstance(vector, list) or not all(_is_number(value) for value in vector):
        raise BadAnswer("bad-answer", "holds no embedding")
    if len(vector) <= SHORTEST_VECTOR:
        raise BadAnswer("nonsense-answer", f"is a vector of {len(vector)}")
    if width is not None and len(vector) != width:
        raise BadAnswer("other-model", f"is a vector of {len(vector)}, and the model's files make vectors of {width}")
    if not all(_is_finite(value) for value in vector):
        raise BadAnswer("nonsense-answer", "is a vector with NaN or infinities")
    if not any(vector):
        raise BadAnswer("nonsense-answer", "is a vector of zeros")
    return len(vector)


def check_scores(body: bytes, documents: int) -> tuple[float, ...]:
    """Scores by document; llama.cpp, vLLM and TEI differ in the names of the keys."""
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise BadAnswer("bad-answer", "is not JSON") from None
    entries = data.get("results") or data.get("data") if _is_map(data) else data
    scores: dict[int, float] = {}
    for entry in entries if isinstance(entries, list) else []:
        if _is_map(entry) and isinstance(entry.get("index"), int):
            score = entry.get("relevance_score", entry.get("score"))
            if _is_number(score) and _is_finite(score):
                scores[entry["index"]] = float(score)
    if sorted(scores) != list(range(documents)):
        raise BadAnswer("bad-answer", f"holds no scores for the {documents} documents")
    if len(set(scores.values())) == 1:
        raise BadAnswer("nonsense-answer", "scores all documents alike")
    return tuple(scores[index] for index in range(documents))


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON knows integers of any length
        return False


def _is_map(value: object) -> bool:
    return isinstance(value, dict)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
