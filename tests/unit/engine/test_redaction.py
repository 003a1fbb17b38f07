"""Secrets and control characters never leave the redactor, however they are spelled."""

from __future__ import annotations

import base64
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.engine.redaction import Redactor, clean

SECRET = 'p@ss/wörd"\\ + 7'


def redactor(*values: str) -> Redactor:
    made = Redactor()
    for value in values:
        made.add(value)
    return made


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        quote(SECRET, safe=""),
        quote(SECRET),
        quote_plus(SECRET),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        shlex.quote(SECRET),
        repr(SECRET),
        SECRET.encode().hex(),
        *(base64.b64encode(f"{user}:{SECRET}".encode()).decode() for user in ("", "a", "ab", "abc")),
        *(base64.urlsafe_b64encode(f"{user}:{SECRET}!!".encode()).decode() for user in ("", "a", "ab", "abc")),
    ],
)
def test_every_usual_spelling_is_masked(spelled: str) -> None:
    shown = redactor(SECRET).redact(f"before {spelled} after")
    assert "***" in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "wörd" not in shown
    assert base64.b64encode(SECRET.encode()).decode()[4:12] not in shown


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nAAAABBBBCCCC\n-----END KEY-----\n"
    assert redactor(key).tail("read AAAABBBBCCCC\nend") == ("read ***", "end")


def test_short_secrets_are_masked_only_as_words() -> None:
    assert redactor("cat").redact("cat concat /cat/ cat1") == "*** concat /***/ cat1"


def test_the_longer_of_two_secrets_is_masked_first() -> None:
    assert redactor("secret", "secret-two").redact("secret-two secret") == "*** ***"


def test_redaction_comes_before_the_cut() -> None:
    line = redactor("0123456789").line("x" * 8 + "0123456789", limit=12)
    assert line == "x" * 8 + "***"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("10%\r50%\r100%", "100%"),
        ("\x1b]0;owned\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b\x07c\x9b31md", "abcd"),
        ("evil\u202egnp.exe\u2066", "evilgnp.exe"),
        ("tab\tend", "tab    end"),
        ("\x1bPq#0;2;0;0;0\x1b\\sixel", "sixel"),
        ("\x1bc reset", " reset"),
    ],
)
def test_a_line_is_safe_for_a_terminal(raw: str, shown: str) -> None:
    assert clean(raw) == shown


@given(st.text())
def test_nothing_invisible_survives(raw: str) -> None:
    assert all(char.isprintable() for char in clean(raw))


@given(st.text(min_size=4, max_size=30).filter(lambda s: s.strip() == s and len(s.strip()) >= 4), st.text(max_size=20))
def test_the_value_is_never_shown(value: str, around: str) -> None:
    assert value not in redactor(value).redact(around + value + around) or value in "***"


def test_a_tail_is_the_last_lines_that_say_something() -> None:
    raw = b"one\n\n  \ntwo\xff\nthree\n" + b"x" * 600 + b"\n"
    lines = Redactor().tail(raw, 3)
    assert lines[:2] == ("two\N{REPLACEMENT CHARACTER}", "three")
    assert len(lines[2]) == 500
