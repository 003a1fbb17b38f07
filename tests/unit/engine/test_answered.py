"""Which containers answered: noted by their host, read from anybody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deployer.engine.answered import MOST_READ, parse_answered, parse_proven
from deployer.values.records import Proven

A, B = "a" * 64, "b" * 64


def test_the_last_word_counts_and_a_known_time_stays() -> None:
    body = f"{A} 12.5\n{B}\n{A} 3.0\n{B} 7\n{B}\n".encode()
    assert parse_answered(body) == {A: 3.0, B: 7.0}


def test_what_is_no_such_line_is_left_out() -> None:
    odd = [f"{A}{tail}" for tail in (" ", " -1", " 1e9", " nan", " 99999999", " 1 2")]
    assert parse_answered("\n".join([*odd, A[:-1], A.upper(), f"../{A}", "\x1b[31m"]).encode()) == {}


def test_no_more_than_the_end_is_read() -> None:
    assert parse_answered(f"{A} 1\n".encode() + b"x" * MOST_READ + f"\n{B} 2\n".encode()) == {B: 2.0}


def test_what_answered_is_known_by_what_its_spec_said() -> None:
    body = f"{A} 12.5\nchat-0 {A} a1\n{B}\nchat-1 {B} a1\n{A} 1\nchat-0 {B} a2\nchat-0 {A} a2\n".encode()
    assert parse_answered(body) == {A: 1.0, B: None}
    assert parse_proven("lab", body) == (Proven("lab", "chat-0", A, "a2"), Proven("lab", "chat-1", B, "a1"))


def test_what_was_taken_back_leaves_what_was_before() -> None:
    body = f"chat-0 {A} a1\nchat-0 {B} a2\nchat-1 {B} a2\nchat-0 - a2\nchat-7 - a2\n".encode()
    assert parse_proven("lab", body) == (Proven("lab", "chat-0", A, "a1"), Proven("lab", "chat-1", B, "a2"))


def test_what_is_no_such_note_is_left_out() -> None:
    odd = [
        f"chat-0 {A}",
        f"chat-0 {A} a1 x",
        f"Chat-0 {A} a1",
        f"chat {A} a1",
        f"chat-0 {A} ../a1",
        "chat-0 \x1b[31m a1",
    ]
    assert parse_proven("lab", "\n".join(odd).encode()) == ()
    assert parse_proven("odd one", f"chat-0 {A} a1\n".encode()) == ()


@given(st.binary(max_size=400))
def test_anything_can_be_read(body: bytes) -> None:
    parse_answered(body)
    parse_proven("lab", body)
