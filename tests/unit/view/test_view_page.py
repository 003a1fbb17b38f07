"""Foreign text never reaches a terminal or a CI log as anything but text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.view.page import Page, Span, Style, printable


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\rb", "a\\rb"),
        ("a\nb", "a\\nb"),
        ("bell\x07", "bell\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("##[group]x", "#\\#[group]x"),
        ("x ##vso[task.setvariable]y", "x #\\#vso[task.setvariable]y"),
        ("汉字 é 🙂", "汉字 é 🙂"),
        ("tab\there", "tab here"),
    ],
)
def test_printable(foreign: str, shown: str) -> None:
    assert printable(foreign) == shown


@given(st.text())
def test_nothing_a_terminal_obeys_is_left(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in shown)
    assert "\x1b" not in shown
    shown.encode()


@given(st.text(alphabet="\x1b[]0;m\x07\\#:abc"))
def test_removing_one_sequence_makes_no_other(text: str) -> None:
    assert printable(printable(text)) == printable(text)
    assert "\x1b" not in printable(text)


def test_long_text_is_cut_unless_it_is_wanted_whole() -> None:
    page = Page()
    page.line("x" * 9000)
    page.line(Span("y" * 9000, limit=None))
    cut, whole = page.render().splitlines()
    assert len(cut) < 4100
    assert cut.endswith("(cut)")
    assert whole == "y" * 9000


@pytest.mark.parametrize("line", ["::set-env name=X::1", "  ::warning::x"])
def test_no_line_begins_with_a_ci_command(line: str) -> None:
    page = Page()
    page.line(line)
    page.line(Span(line, Style.BOLD))
    for colour in (False, True):
        for shown in page.render(colour=colour).splitlines():
            assert not shown.strip().startswith("::")


def test_colour_is_put_on_only_where_asked_and_always_ends() -> None:
    page = Page()
    page.line("a ", Span("b", Style.ERROR))
    assert page.render() == "a b\n"
    assert page.render(colour=True) == "a \x1b[1;31mb\x1b[0m\n"


def test_no_two_blank_lines() -> None:
    page = Page()
    page.blank()
    page.line("a")
    page.blank()
    page.blank()
    page.line("b")
    assert page.render() == "a\n\nb\n"
