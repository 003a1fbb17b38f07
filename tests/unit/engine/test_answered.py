"""Which containers answered: noted by their host, read from anybody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deployer.engine.answered import MOST_READ, parse_answered

A, B = "a" * 64, "b" * 64


def test_the_last_word_counts_and_a_known_time_stays() -> None:
    body = f"{A} 12.5\n{B}\n{A} 3.0\n{B} 7\n{B}\n".encode()
    assert parse_answered(body) == {A: 3.0, B: 7.0}


def test_what_is_no_such_line_is_left_out() -> None:
    odd = [f"{A}{tail}" for tail in (" ", " -1", " 1e9", " nan", " 99999999", " 1 2")]
    assert parse_answered("\n".join([*odd, A[:-1], A.upper(), f"../{A}", "\x1b[31m"]).encode()) == {}


def test_no_more_than_the_end_is_read() -> None:
    assert parse_answered(f"{A} 1\n".encode() + b"x" * MOST_READ + f"\n{B} 2\n".encode()) == {B: 2.0}


@given(st.binary(max_size=400))
def test_anything_can_be_read(body: bytes) -> None:
    parse_answered(body)
