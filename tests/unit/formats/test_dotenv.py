"""`.env` files as Docker Compose writes them down."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.formats.dotenv import parse_dotenv


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("KEY=v", "v"),
        ("KEY=v\r\n", "v"),
        ("  export KEY = v w  \n", "v w"),
        ("KEY=v # of the team", "v"),
        ("KEY=v#w", "v#w"),
        ("KEY='v # w' # of the team", "v # w"),
        ("KEY='it\\'s'", "it's"),
        ("KEY='a\\nb'", "a\\nb"),
        ('KEY="a\\nb\\t\\"c\\" \\\\"', 'a\nb\t"c" \\'),
        ("KEY='a\nb=c'\nOTHER=1", "a\nb=c"),
        ("KEY=1\nKEY=2", "2"),
        ("KEY=", ""),
        ("KEY=''", ""),
        ("KEY='$HOME'", "$HOME"),
        ('KEY="\\$HOME"', "$HOME"),
        ("KEY=a$1$", "a$1$"),
        ("# KEY=1\n\n\tKEY=密码", "密码"),
    ],
)
def test_a_value(text: str, value: str) -> None:
    assert parse_dotenv(text)["KEY"] == value


@pytest.mark.parametrize(
    "text", ["hunter2", "1KEY=hunter2", "KEY='hunter2", 'KEY="hunter2', "KEY='hunter2' 3", "KEY=${hunter2}", "=hunter2"]
)
def test_what_is_wrong_is_said_without_what_it_is(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_dotenv(f"OTHER=1\n{text}\n")
    assert "line 2" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@given(st.text(st.characters(exclude_characters="'\\\r", exclude_categories=["Cs"])))
def test_single_quotes_keep_everything(value: str) -> None:
    assert parse_dotenv(f"A=1\nKEY='{value}'\nB=2") == {"A": "1", "KEY": value, "B": "2"}


@given(st.text("ab='\"\\$#{ \n", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert all(isinstance(value, str) for value in parse_dotenv(text).values())
