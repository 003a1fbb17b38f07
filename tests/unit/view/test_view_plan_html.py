"""A plan as HTML: one file that loads and runs nothing, whatever hosts and specs say."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.values.plan import Plan
from deployer.view.plan_html import render_html
from tests.unit.view.hostile import NASTY, hostile_plan
from tests.unit.view.plans import a_plan, creation, everything, impossible

VOID = {"meta", "br"}


class Document(HTMLParser):
    """All tags with their attributes, in order, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text = ""
        self.others: list[str] = []
        self._inside: list[str] = []
        self.feed(html)
        self.close()
        assert self._inside == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))
        if tag not in VOID:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)


BENIGN = Document(render_html(hostile_plan(("word",))))


def check(texts: tuple[str, ...]) -> None:
    seen = Document(render_html(hostile_plan(texts)))
    assert seen.tags == BENIGN.tags
    assert seen.others == []
    assert not set("\x00\x1b\u202e\u2028") & set(seen.text)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(NASTY) | st.text(max_size=30), min_size=1, max_size=12))
def test_foreign_text_is_never_markup(texts: list[str]) -> None:
    check(tuple(texts))


@pytest.mark.parametrize("text", NASTY)
def test_each_nasty_text_everywhere(text: str) -> None:
    check((text,))


@pytest.mark.parametrize("plan", [creation(), everything(), impossible(), a_plan()])
def test_it_loads_and_runs_nothing(plan: Plan) -> None:
    html = render_html(plan)
    names = {name for name, _ in Document(html).tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "svg", "a"}
    attributes = {name for _, found in Document(html).tags for name, _ in found}
    assert attributes <= {"lang", "charset", "name", "content", "http-equiv", "class", "open"}
    assert "default-src 'none'" in html
    assert "url(" not in html
    assert "@import" not in html


def test_it_says_what_the_text_says() -> None:
    text = Document(render_html(everything())).text
    for said in ("1 to replace", "--ctx-size", "4096", "8192", "down for a while", "out of memory", "no-id", "gpu-c"):
        assert said in text
