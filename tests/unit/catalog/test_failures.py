"""Every signature of the catalogue finds its line, and says something to do; the lines are those of the programs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deployer import backends
from deployer.catalog.failures import Signature, signatures, signatures_of
from deployer.planning.causes import Cause, Ended, find_cause

FILE = Path(__file__).with_name("lines.txt")
LINES = dict(line.split("\t", 1) for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#"))
SIGNATURES = {one.id: one for one in signatures()}
SAME_WORDS = {"sglang.arch": "vllm.arch"}


def cause_of(one: Signature, line: str) -> Cause | None:
    """By a log that holds the line among others; by Docker's words where only these are looked at."""
    if one.scope == "docker":
        return find_cause(Ended(("loading",), "", docker=line))
    return find_cause(Ended(("loading", line, "bye"), _backend_of(one)))


def _backend_of(one: Signature) -> str:
    """One whose own texts they are, or any."""
    found = (b.name for b in backends.load_all() if signatures_of(b.name)[0].scope == one.scope)
    return next(found, "")


def test_each_signature_has_its_line() -> None:
    told_otherwise = {one.id for one in signatures() if one.text is None}
    assert set(LINES) == set(SIGNATURES) - told_otherwise
    assert told_otherwise == {"oom.killed"}
    assert len(SIGNATURES) == len(signatures()) >= 174


@pytest.mark.parametrize("name", sorted(LINES))
def test_a_signature_tells_its_cause(name: str) -> None:
    one, found = SIGNATURES[name], cause_of(SIGNATURES[name], LINES[name])
    assert one.text is not None
    assert one.text.search(LINES[name])
    if one.rank is None:
        assert found is None, f"{one.kind} lines are no causes"
        return
    assert found is not None
    assert found.id == name or (name in SAME_WORDS and found.id == SAME_WORDS[name])
    assert found.line == LINES[name]


@pytest.mark.parametrize("one", [one for one in signatures() if one.rank is not None], ids=lambda one: one.id)
def test_a_cause_says_one_thing_to_do(one: Signature) -> None:
    assert (one.change is None) != (one.remedy is None)
    text = one.change or one.remedy or ""
    assert text[0].islower() or text[0] == "`"
    assert not one.cause.endswith(".")
    assert not text.endswith(".")
    assert text.count("`") % 2 == one.cause.count("`") % 2 == 0
    found = cause_of(one, LINES[one.id]) if one.id in LINES else None
    if found is not None and found.id == one.id:
        groups = set(one.text.groupindex) if one.text is not None else set()
        assert not {f"{{{group}}}" for group in groups} & set(re.findall(r"\{\w+\}", found.what + found.hint("s")))


def test_no_signature_is_of_another_scope_than_somebody_looks_for() -> None:
    looked_for = {one.id for backend in backends.load_all() for one in signatures_of(backend.name)}
    others = {SIGNATURES[name].scope for name in set(SIGNATURES) - looked_for}
    assert others <= {"litellm", "dcgm", "prometheus", "nim", "xinference", "localai"}  # of images of one's own
